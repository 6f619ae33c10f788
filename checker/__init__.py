"""The Cat Checker: checks pending photos with a local ImageNet model and returns verdicts.

Steps 5 to 10 of docs/architecture.md. Imports no object store, no SQL and (``http`` apart) no web framework.
"""
