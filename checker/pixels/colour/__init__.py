"""Conversion to 8-bit sRGB, from every colour model, profile and depth."""
