"""Results that a plan keeps in addition to verdicts: log-odds, logits and features of each photo."""
