"""Rows of outgoing webhooks, and the ids of signed wake-ups that were received."""
