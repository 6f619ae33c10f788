"""Bulk work: check many photos from a plan, beside the live queue; no row is ever marked pending."""
