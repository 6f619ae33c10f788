"""Results that a plan keeps beside verdicts: log-odds, logits and features of each photo."""
