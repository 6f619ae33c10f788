"""``catloader demo``: the main job from end to end, on a temporary site."""
