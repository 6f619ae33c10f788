"""The settings that select a runtime, in the form that the checker takes."""

from __future__ import annotations

from pathlib import Path

from catloader.settings import Settings
from checker.decision.operating_point import SHIPPED_PROFILES
from checker.runtimes.selection.variants import RuntimeRequest


def runtime_request(settings: Settings) -> RuntimeRequest:
    """Collect the settings that select a runtime."""
    return RuntimeRequest(
        device=settings.device,
        runtime=settings.runtime,
        precision=settings.precision,
        max_fpr=settings.max_false_positive_rate,
        max_fnr=settings.max_false_negative_rate,
        profile_folders=profile_folders(settings),
        weights_dir=settings.weights_dir,
        workers=settings.workers,
        decoder=settings.decoder,
        cuda_graphs=settings.cuda_graphs == "on",
        batching_window_ms=settings.batching_window_ms,
    )


def profile_folders(settings: Settings) -> tuple[Path, ...]:
    """Return the folders of profiles: profiles measured on this site come before the shipped profiles."""
    return (settings.data_dir / "profiles", SHIPPED_PROFILES)
