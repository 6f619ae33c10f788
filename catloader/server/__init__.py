"""The long-running commands: gunicorn, the data directory and its locks."""
