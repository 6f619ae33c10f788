"""Persistence: ``db`` is the only SQL, ``s3`` the only object storage."""
