"""Runtime selection: choose the variant that checks photos, by the request and the measured profiles.

A model may be available in several variants. With ``auto``, the fastest variant is selected that this machine
runs and whose profile meets the requested error rates. If no variant was measured, fp32 (fp16 on a GPU) runs,
and its verdicts are marked as uncalibrated.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from checker.decision.operating_point import ThresholdRule
from checker.decision.subject import Subject
from checker.errors import ModelRefused
from checker.log_limit import LogLimits
from checker.ports import Classifier
from checker.runtimes.batcher import Batcher
from checker.runtimes.selection.background import can_optimise
from checker.runtimes.selection.load import load_classifier
from checker.runtimes.selection.reasons import reasons
from checker.runtimes.selection.required_rates import require_rates
from checker.runtimes.selection.self_test import SelfTestFailed, self_test
from checker.runtimes.selection.variants import RuntimeRequest, Variant, not_made, variants
from models.catalogue import Entry, class_names

logger = logging.getLogger(__name__)

_LOG_LIMITS = LogLimits()

_UNMEASURED = ("fp16", "fp32", "bf16")
"""Order of preference among variants without a profile: the usual precision of a GPU, then of a CPU."""


@dataclass(frozen=True, slots=True)
class SelectedVariant:
    """The selected variant, loaded."""

    classifier: Classifier
    rule: ThresholdRule
    variant: Variant
    not_made: Variant | None
    """A faster variant that can be made in the background."""
    refusals: tuple[str, ...]
    """One plain sentence for each preferred model and each faster variant that does not check: the reason."""
    damage: str = ""
    """The reason why the files of ``not_made`` on disk can't be used; empty if there are no such files."""

    @property
    def why_not_faster(self) -> str:
        """All reasons in one text; empty if the fastest variant checks."""
        reasons = list(self.refusals)
        if self.not_made is not None and self.damage:
            reasons.append(f"{self.variant} is used until {self.not_made} is made again: {self.damage}")
        elif self.not_made is not None:
            reasons.append(f"{self.not_made} is faster than {self.variant}, but is not made yet")
        return " ".join(f"{reason.removesuffix('.')}." for reason in reasons)

    def once_made(self) -> SelectedVariant:
        """Return the choice after the missing variant was made, while this one still checks."""
        made = f"{self.not_made} is made now, and checks from the next run on"
        return replace(self, not_made=None, damage="", refusals=(*self.refusals, made))

    def not_makeable(self, reason: str) -> SelectedVariant:
        """Return the choice after the missing variant could not be made."""
        failed = f"{self.not_made} is faster than {self.variant}, but could not be made: {reason}"
        return replace(self, not_made=None, damage="", refusals=(*self.refusals, failed))


def load_checker(
    candidates: Sequence[tuple[Entry, Path]], subject: Subject, request: RuntimeRequest
) -> tuple[Classifier, ThresholdRule]:
    """Return the result of ``select_model``; log why no preferred model and no faster variant is used."""
    choice = select_model(candidates, subject, request)
    for refusal in choice.refusals:
        logger.warning(refusal)
    return choice.classifier, choice.rule


def select_model(
    candidates: Sequence[tuple[Entry, Path]], subject: Subject, request: RuntimeRequest
) -> SelectedVariant:
    """Load the first model of which a variant may check; ``refusals`` says why earlier models may not.

    Args:
        candidates: models with their weights, best first; at least one.

    Raises:
        ModelRefused: no model may check.
    """
    refusals: list[str] = []
    for entry, path in candidates:
        try:
            choice = select_variant(entry, path, subject, request)
        except ModelRefused as error:
            if len(candidates) == 1:
                raise
            refusals.append(f"{entry.name} is not used: {str(error).removesuffix('.')}.")
        else:
            return replace(choice, refusals=(*refusals, *choice.refusals))
    raise ModelRefused(" ".join(refusals))


def select_variant(entry: Entry, path: Path, subject: Subject, request: RuntimeRequest) -> SelectedVariant:
    """Load the fastest variant that may check, with its decision rule; its self-test has passed.

    Takes up to several seconds. If a variant is refused, the next one is tried.

    Args:
        path: the entry's weights.

    Raises:
        ModelRefused: no variant that matches the request may check; one plain sentence.
    """
    available: list[Variant] = []
    refused: list[tuple[Variant, ModelRefused]] = []
    for variant in variants(entry, path, subject, request):
        if variant.fault:
            refused.append((variant, ModelRefused(variant.fault)))
            continue
        available.append(variant)
        if variant.profile is not None and (
            choice := _attempt(entry, path, subject, request, variant, refused=refused)
        ):
            unmeasured = (
                f"{faster} is not used: its error rates were not measured"
                for faster in available
                if faster.profile is None
            )
            return replace(choice, refusals=(*choice.refusals, *unmeasured))
    # A measured variant that was refused must not run as an unmeasured one. If the weights are damaged, the
    # next model, which is measured, is better than an unmeasured variant. Damaged OpenVINO files, however,
    # concern only one variant.
    only_openvino_files = all(faster.fault and faster.runtime == "openvino" for faster, _ in refused)
    if refused and not (available and only_openvino_files):
        raise _last(entry, request, refused)
    for variant in _unmeasured(entry, request, available):
        if choice := _attempt(entry, path, subject, request, variant, refused=refused):
            return choice
    raise _last(entry, request, refused)


def _attempt(
    entry: Entry,
    path: Path,
    subject: Subject,
    request: RuntimeRequest,
    variant: Variant,
    *,
    refused: list[tuple[Variant, ModelRefused]],
) -> SelectedVariant | None:
    """Load a variant; None: it may not check, and the reason is added to ``refused``.

    Raises:
        SelfTestFailed: the model was measured with other preprocessing, so no unmeasured variant may check.
    """
    try:
        if variant.profile is not None:
            require_rates(variant.profile, request.max_fpr)
        classifier, rule = _load(entry, path, subject, request, variant)
    except ModelRefused as error:
        if variant.profile is None and isinstance(error, SelfTestFailed):
            raise
        refused.append((variant, error))
        return None
    missing = _not_made(entry, path, subject, request, variant) if _on_cpu(classifier) else None
    refusals, damage = reasons(refused, variant, missing)
    return SelectedVariant(classifier, rule, variant, missing, refusals, damage)


def _last(
    entry: Entry, request: RuntimeRequest, refused: Sequence[tuple[Variant, ModelRefused]]
) -> ModelRefused:
    """Return the reason against the last variant; log all others that differ from it."""
    last = refused[-1][1]
    for variant, reason in refused[:-1]:
        if str(reason) == str(last):  # damaged weights are the same reason for each variant of torch
            continue
        sentence = f"{entry.name} {variant} is not used: {reason}"
        if (
            suffix := _LOG_LIMITS.suffix(f"{request.profile_folders} {sentence}")
        ) is not None:  # a refused model is loaded again and again
            logger.warning("%s%s", sentence, suffix)
    return last


def _not_made(
    entry: Entry, path: Path, subject: Subject, request: RuntimeRequest, serving: Variant
) -> Variant | None:
    for variant in not_made(entry, path, subject, request, serving):
        try:
            if variant.profile is not None:
                require_rates(variant.profile, request.max_fpr)
        except ModelRefused:
            continue
        return variant if can_optimise(variant.precision) else None
    return None


def _unmeasured(entry: Entry, request: RuntimeRequest, available: Sequence[Variant]) -> Sequence[Variant]:
    """Return the variants without a profile that may check, best first; at least one.

    Raises:
        ModelRefused: only int8 is available.
    """
    candidates = [variant for variant in available if variant.precision != "int8"]
    if candidates:
        return sorted(candidates, key=lambda variant: _UNMEASURED.index(variant.precision))
    if available:
        raise ModelRefused(
            f"No profile shows that {entry.name} finds as many cats in int8 as in fp32; "
            "`catloader models calibrate` measures that; precision auto uses another precision."
        )
    # Nothing matches the request; loading it raises the reason.
    runtime = "openvino" if request.precision == "int8" and request.runtime == "auto" else request.runtime
    return [Variant(runtime, request.precision, manifest=None, profile=None)]


def _load(
    entry: Entry, path: Path, subject: Subject, request: RuntimeRequest, variant: Variant
) -> tuple[Classifier, ThresholdRule]:
    classifier = load_classifier(
        entry.decoded_by(request.decoder),
        path,
        device=request.device,
        runtime=variant.runtime,
        precision=variant.precision,
        weights_dir=request.weights_dir,
        manifest=variant.manifest,
        workers=request.workers,
        cuda_graphs=request.cuda_graphs,
    )
    rule = ThresholdRule(
        subject,
        class_names(),
        profile=variant.profile,
        max_fpr=request.max_fpr,
        max_fnr=request.max_fnr,
    )
    try:
        self_test(classifier, rule, request.profile_folders)
    except ModelRefused:
        classifier.close()  # free its memory before the next variant is loaded
        raise
    if not _on_cpu(classifier):
        classifier = Batcher(classifier, window_ms=request.batching_window_ms)
    return classifier, rule


def _on_cpu(classifier: Classifier) -> bool:
    return classifier.model_info.device == "cpu"
