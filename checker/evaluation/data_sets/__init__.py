"""Readers of labelled photos: class folders, tables, Oxford-IIIT Pet, COCO."""
