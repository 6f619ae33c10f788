"""Modified photos: corrupted, or with the cat elsewhere in the frame."""
