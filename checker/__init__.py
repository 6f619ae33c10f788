"""The Cat Checker: takes waiting photos, runs a local ImageNet network, returns verdicts.

Steps 5 to 10 of docs/architecture.md. The core knows no web framework, no object store and no SQL.
"""
