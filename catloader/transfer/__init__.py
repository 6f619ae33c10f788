"""Transfer many photos without a browser: ``catloader import`` and ``catloader export``."""
