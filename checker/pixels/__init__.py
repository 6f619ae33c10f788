"""Step 7, decode: encoded photos become model inputs and stored renditions."""
