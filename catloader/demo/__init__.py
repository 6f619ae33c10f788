"""``catloader demo``: sample photos, a temporary site, and the client that uses it."""
