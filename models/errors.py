"""Errors of model files; ``str(error)`` is one plain sentence for the operator of the site."""

from __future__ import annotations


class ModelsError(Exception):
    """Base class of these errors."""


class UnknownModel(ModelsError):
    """The catalogue has no entry of this name."""


class WeightsMissing(ModelsError):
    """The entry's file is not on this disk."""


class WeightsRefused(ModelsError):
    """The file differs from the catalogue or its manifest: nothing was loaded from it."""


class PackageMissing(ModelsError):
    """The package that builds the model is not installed."""


class FetchFailed(ModelsError):
    """The weights did not arrive; there is no file under the final name."""


class OptimiseFailed(ModelsError):
    """The OpenVINO variant was not made; there is no file under the final name."""
