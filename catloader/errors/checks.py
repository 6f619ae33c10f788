"""Errors of checks and explanations."""

from __future__ import annotations

from catloader.errors.base import CatLoaderError


class NoCheckerHere(CatLoaderError):
    """This process has no model: other processes check, and take their photos from the table."""

    status = 501


class CheckerNotReady(CatLoaderError):
    """The model is being loaded, or it failed."""

    status = 503
    retry_after_s = 5


class CannotExplain(CatLoaderError):
    """The model or the profile of the decision is no longer on this machine."""

    status = 409


class ExplainerBusy(CatLoaderError):
    """Another photo is being explained."""

    status = 503
    retry_after_s = 3


class ExplanationFailed(CatLoaderError):
    """The child process made no explanation, or not in time. The work is too expensive for a quick retry."""

    status = 503
    retry_after_s = 60
