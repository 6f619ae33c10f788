"""The Cat Checker: checks pending photos with a local ImageNet model and returns verdicts.

Steps 5 to 10 of docs/architecture.md. The package imports no object store, no SQL and, except in ``http``, no
web framework.
"""

__version__ = "0.2.0"
"""Version of the whole distribution: CatLoader, the checker and the models."""
