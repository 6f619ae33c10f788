"""Bounds that have no setting and are shared by the server and the pages."""

FORM_BYTES = 64 * 1024
"""Limit of a form without files, and of the fields sent with files, which get another 4 kB per file."""
