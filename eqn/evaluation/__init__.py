"""How good a model is: metrics, thresholds, baselines, and the model card that shows them."""
