"""What can go wrong with weights; ``str(error)`` is one plain sentence for whoever runs the site."""

from __future__ import annotations


class ModelsError(Exception):
    """The root."""


class UnknownModel(ModelsError):
    """The catalogue has no entry of this name."""


class WeightsMissing(ModelsError):
    """The entry's file is not on this disk."""


class WeightsRefused(ModelsError):
    """The file is there and is not what the catalogue says: nothing was loaded from it."""


class FetchFailed(ModelsError):
    """The weights did not arrive; nothing lies under the final name."""


class OptimiseFailed(ModelsError):
    """A network's OpenVINO form was not made; nothing lies under the final name."""
