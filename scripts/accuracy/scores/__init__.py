"""Scores of labelled photos: measured with one variant, cross-validated, and kept on disk."""
