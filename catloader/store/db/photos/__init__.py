"""Rows of photos: step 3, the gallery, the album, the bin and the deletion ledger."""
