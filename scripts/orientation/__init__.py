"""The fit that tells turned photos from upright ones."""
