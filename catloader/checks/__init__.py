"""Dispatch (step 4), and the site's side of checks: signatures, replay, shadow, promotion of a model."""
