"""Pages of photos: My photos, a photo's page, the album, the bin, and the JPEG files."""
