"""Steps 1 to 3 without Flask: uploaded bytes become a stored photo, a thumbnail and a row."""
