"""File formats: opening files of every kind as Pillow images, with repairs of PNG and TIFF."""
