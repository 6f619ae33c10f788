"""File formats: open files of every accepted format as Pillow images, after repairs."""
