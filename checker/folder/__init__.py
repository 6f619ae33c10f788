"""``python -m checker PATH``: check photos in files and folders without the site."""
