"""Step 9, classify, second half: activations become a score and a verdict."""
