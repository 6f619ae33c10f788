"""Step 4, dispatch; and what goes with checks: signatures, replay, shadow, promotion of a model."""
