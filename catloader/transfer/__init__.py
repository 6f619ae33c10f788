"""Many photos at once, without a browser: ``catloader import`` and ``catloader export``."""
