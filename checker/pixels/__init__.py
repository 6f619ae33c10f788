"""Steps 1 and 7: turn encoded photos into stored renditions and model inputs."""
