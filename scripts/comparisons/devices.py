"""The distance of a GPU's outputs from the CPU's, in each precision and with each decoder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from checker.decision.operating_point import SHIPPED_PROFILES, ThresholdRule
from checker.decision.profile import ProfileKey, find_profile
from checker.decision.subject import load_subject
from checker.evaluation.measure import Measured, measure
from checker.evaluation.photos import LabelledPhoto
from checker.evaluation.variants import NamedVariant
from checker.pixels import nvjpeg
from checker.process.cores import available_cores
from checker.values import Decision
from models.catalogue import class_names
from scripts.command_line import CannotRun

TF32_OFF = "fp32 without TF32"
PRECISIONS = ("fp32", "bf16", "fp16")
_THREADS = 4
"""Threads of a pass on the CPU. With all 16 of a machine, the passes of one photo were many times slower."""


def compare(
    photos: Sequence[LabelledPhoto], model: str, weights_dir: Path, device: str = "cuda"
) -> dict[str, Any]:
    """Run the model on both devices and compare the decisions by the profile of torch fp32.

    Raises:
        CannotRun: there is no GPU, or the model has no profile for torch in fp32.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise CannotRun("there is no CUDA GPU that torch can use")
    on_cpu = NamedVariant(
        model, precision="fp32", threads=min(_THREADS, available_cores()), weights_dir=weights_dir
    )
    classifier = on_cpu.load()
    subject = load_subject("house_cat")
    key = ProfileKey.of(classifier.model_info, classifier.preprocessing, subject)
    profile = find_profile(key, [SHIPPED_PROFILES])
    if profile is None:
        raise CannotRun(f"{model} has no profile for torch in fp32")
    rule = ThresholdRule(subject, class_names(), profile=profile)
    expected = measure(photos, classifier, rotated=False)
    decided = _decisions(rule, expected)
    on_device = replace(on_cpu, device=device)
    variants = {name: replace(on_device, precision=name) for name in PRECISIONS if _runs(name, device)}
    variants[TF32_OFF] = replace(on_device, precision="fp32")
    if device == "cuda" and nvjpeg.is_installed():
        variants["fp16, nvjpeg"] = replace(on_device, precision="fp16", decoder="nvjpeg")
    figures = {}
    for name, variant in variants.items():
        with _tf32(allowed=name != TF32_OFF):
            classifier = variant.load()
            measured = measure(photos, classifier, rotated=False)
        figures[name] = _distance(expected, decided, measured, _decisions(rule, measured))
        info = classifier.model_info
        classifier.close()
    return {
        "model": model,
        "device": info.device,
        "versions": dict(info.versions),
        "profile": profile.profile_id,
        "data": expected.data,
        "score_tolerance": profile.golden["score_tolerance"],
        "variants": figures,
    }


def as_text(figures: dict[str, Any]) -> str:
    """Return a table with one line for each variant."""
    lines = [
        f"{figures['model']} on {figures['device']}, compared with torch fp32 on the CPU",
        f"{'':20} largest / 99 % / rms of scores   rms of logits   verdicts changed   cat <-> not cat",
    ]
    for name, row in figures["variants"].items():
        lines.append(
            f"{name:20} {row['largest_score_difference']:9.5f} / {row['p99_score_difference']:7.5f} / "
            f"{row['rms_of_scores']:7.5f} {row['rms_of_logits']:13.5f} {row['verdicts_changed']:16} "
            f"{row['cat_to_not_cat']:17}"
        )
    return "\n".join(lines)


def _runs(precision: str, device: str) -> bool:
    return device == "cuda" or precision != "fp16"


@contextlib.contextmanager
def _tf32(*, allowed: bool) -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _decisions(rule: ThresholdRule, measured: Measured) -> list[Decision]:
    return [rule.decide(measured.evidence[row]) for row in range(len(measured.names))]


def _distance(
    expected: Measured, decided: Sequence[Decision], measured: Measured, decisions: Sequence[Decision]
) -> dict[str, Any]:
    scores = np.array([[one.score for one in each] for each in (decided, decisions)])
    differences = np.abs(scores[0] - scores[1])
    pairs = [(one.verdict, other.verdict) for one, other in zip(decided, decisions, strict=True)]
    return {
        "largest_score_difference": float(differences.max()),
        "p99_score_difference": float(np.quantile(differences, 0.99)),
        "rms_of_scores": _rms(differences),
        "rms_of_logits": _rms(expected.evidence.logits - measured.evidence.logits),
        "verdicts_changed": sum(one != other for one, other in pairs),
        "cat_to_not_cat": sum({"cat", "not_cat"} == {one.value, other.value} for one, other in pairs),
        "photos_per_s_one_thread": round(measured.photos_per_s, 1),
    }


def _rms(differences: Any) -> float:
    return float(np.sqrt((np.asarray(differences, dtype=np.float64) ** 2).mean()))
