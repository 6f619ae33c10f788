"""Bounds without a setting that the server and the site share."""

FORM_BYTES = 64 * 1024
"""Limit of a form without files, and of the fields sent with files, which get another 4 kB per file."""
