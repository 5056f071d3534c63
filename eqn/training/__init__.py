"""Training: recipes, label expansion from stage A to stage B, and the loop. Runs where only torch is installed."""
