"""Bulk work: check many photos from a plan, outside the live queue; no row is ever marked pending."""
