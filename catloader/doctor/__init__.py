"""``catloader doctor``: examine everything that a site needs, one row for each part."""
