"""Selects the variant that serves: what the machine runs, what is measured, what passes its self-test."""
