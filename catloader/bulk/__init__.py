"""Bulk work: check many photos from a plan, outside the live queue. Rows are never marked pending."""
