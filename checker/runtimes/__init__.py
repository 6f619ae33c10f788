"""Step 9, classify, first half: run a model and select its runtime and precision."""
