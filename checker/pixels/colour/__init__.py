"""Convert every colour model, profile and depth to 8-bit sRGB."""
