"""The Cat Checker: checks pending photos with a local ImageNet model and returns verdicts.

Steps 5 to 10 of docs/architecture.md. Imports no object store, no SQL and (``http`` apart) no web framework.
"""

__version__ = "0.2.0"
"""Of the whole distribution: CatLoader, the checker and its models."""
