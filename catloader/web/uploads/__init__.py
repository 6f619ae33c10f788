"""Step 1, upload: forms, files in pieces, and the limits on simultaneous uploads."""
