"""Step 1, upload: forms, resumable uploads, and the limits on simultaneous uploads."""
