"""How good a model is: metrics and their intervals, calibration, thresholds, baselines, figures, and the model card."""
