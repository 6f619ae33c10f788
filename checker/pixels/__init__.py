"""Pixel work of steps 1 and 7: encoded photos become stored renditions and model inputs."""
