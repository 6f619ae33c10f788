"""Which runtime and precision do the checking: as asked for, or with ``auto`` the fastest that is measured.

A network may be there in several forms. ``auto`` takes the first, in the order of their speed, that this
machine runs and whose profile holds the administrator's rates. Where none of them was ever measured, the
plainest one runs, and its verdicts are marked as uncalibrated.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from checker.decision.operating_point import ThresholdRule, cat_point
from checker.decision.profile import Profile, ProfileKey, find_profile
from checker.decision.subject import Subject
from checker.errors import ModelRefused
from checker.ports import Classifier
from checker.runtimes.batcher import Batcher
from checker.runtimes.load import load_classifier
from checker.runtimes.self_test import self_test
from models import openvino_ir
from models.catalogue import Entry, class_names
from models.digest import verify
from models.errors import ModelsError

logger = logging.getLogger(__name__)

MOST_LOST = 0.005
"""int8 serves only where its recall is at most half a point below that of fp32 at the same rate."""

# The fastest first, as scripts/benchmark_speed.py finds them.
_ON_CPU = (
    ("openvino", "int8"),
    ("openvino", "bf16"),
    ("torch", "bf16"),
    ("openvino", "fp32"),
    ("torch", "fp32"),
)
_ON_GPU = (("torch", "fp16"), ("torch", "bf16"), ("torch", "fp32"))
_UNMEASURED = ("fp16", "fp32", "bf16")
"""What runs where nothing is measured: fp16, which only GPUs run, and fp32 are the usual ones there."""


@dataclass(frozen=True, slots=True)
class RuntimeRequest:
    """What the administrator, or who runs the folder tool, asks for."""

    device: str
    """``auto`` (a GPU where there is one), ``cpu`` or ``cuda``."""
    runtime: str
    """``auto``, ``torch`` or ``openvino``."""
    precision: str
    """``auto``, ``fp32``, ``bf16``, ``fp16`` or ``int8``."""
    max_fpr: float
    max_fnr: float
    profile_folders: tuple[Path, ...]
    """Your own before the shipped ones."""
    weights_dir: Path
    """Where your own OpenVINO forms lie."""
    workers: int = 0
    """Threads that will call the classifier; 0: one per core."""
    decoder: str = "cpu"
    """``cpu``, or ``nvjpeg`` on a GPU."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way to run the network, not loaded yet."""

    runtime: str
    precision: str
    manifest: openvino_ir.Manifest | None
    profile: Profile | None


def load_checker(
    entry: Entry, path: Path, subject: Subject, asked: RuntimeRequest
) -> tuple[Classifier, ThresholdRule]:
    """The network and its rule; the self-test was stood. Takes up to seconds.

    Args:
        path: the entry's weights.

    Raises:
        ModelRefused: nothing that was asked for may check; one plain sentence.
    """
    seen: list[Form] = []
    refusal: ModelRefused | None = None
    for form in forms(entry, path, subject, asked):
        seen.append(form)
        if form.profile is not None:
            try:
                _must_hold(form.profile, asked)
                return _loaded(entry, path, subject, asked, form)
            except ModelRefused as error:
                refusal = error  # the slower ones may do; none of them may pass for unmeasured
                logger.warning("%s %s does not check: %s", form.runtime, form.precision, error)
    if refusal is not None:
        raise refusal
    return _loaded(entry, path, subject, asked, _unmeasured(entry, asked, seen))


def forms(entry: Entry, path: Path, subject: Subject, asked: RuntimeRequest) -> Iterator[Form]:
    """What is there of what was asked for, the fastest first.

    Raises:
        ModelRefused: the weights do not hold, or a profile is broken.
    """
    on_gpu = asked.runtime != "openvino" and asked.device != "cpu" and _finds_a_gpu()
    if asked.device == "cuda" and not on_gpu:
        return
    for runtime, precision in _ON_GPU if on_gpu else _ON_CPU:
        if asked.runtime not in ("auto", runtime) or asked.precision not in ("auto", precision):
            continue
        if runtime == "openvino" and asked.decoder != "cpu":
            continue  # its pixels are on the host
        if (
            (runtime, precision) == ("torch", "bf16")
            and asked.precision == "auto"
            and not (on_gpu or _computes_in_bf16())
        ):
            continue  # it would run, and take ten times as long
        for weights_sha256, manifest in _weights(entry, path, asked, runtime, precision):
            way = entry.decoded_by(asked.decoder).preprocessing
            key = ProfileKey(weights_sha256, way.key, runtime, precision, subject)
            yield Form(runtime, precision, manifest, find_profile(key, asked.profile_folders))


def _weights(
    entry: Entry, path: Path, asked: RuntimeRequest, runtime: str, precision: str
) -> Sequence[tuple[str, openvino_ir.Manifest | None]]:
    try:
        if runtime == "torch":
            return [(verify(entry, path), None)]
        manifests = openvino_ir.manifests(entry, asked.weights_dir, precision)
        return [(manifest.weights_sha256, manifest) for manifest in manifests]
    except ModelsError as error:
        if runtime in ("torch", asked.runtime):
            raise ModelRefused(str(error)) from error
        logger.warning("%s %s does not check: %s", runtime, precision, error)
        return []


def _must_hold(profile: Profile, asked: RuntimeRequest) -> None:
    """Raises ModelRefused where its rates are too lax, or int8 loses too many cats."""
    point = cat_point(profile, asked.max_fpr)
    if profile.key.precision == "int8":
        full = profile.fp32_recall.get(point.target)
        if full is None:
            raise ModelRefused(f"profile {profile.profile_id} does not tell how many cats fp32 finds")
        if point.recall.rate < full - MOST_LOST:
            raise ModelRefused(
                f"at a false positive rate of {point.target:g} int8 finds {point.recall.rate:.1%} of the "
                f"cats and fp32 {full:.1%}: more than {MOST_LOST:.1%} are lost"
            )


def _unmeasured(entry: Entry, asked: RuntimeRequest, forms: Sequence[Form]) -> Form:
    plain = [form for form in forms if form.precision != "int8"]
    if plain:
        return min(plain, key=lambda form: _UNMEASURED.index(form.precision))
    if forms:
        raise ModelRefused(
            f"No profile tells whether {entry.name} finds as many cats in int8 as in fp32; "
            "scripts/calibrate.py measures that, and precision auto does without."
        )
    # Nothing that could run: loading it will say why.
    runtime = "openvino" if asked.precision == "int8" and asked.runtime == "auto" else asked.runtime
    return Form(runtime, asked.precision, None, None)


def _loaded(
    entry: Entry, path: Path, subject: Subject, asked: RuntimeRequest, form: Form
) -> tuple[Classifier, ThresholdRule]:
    classifier = load_classifier(
        entry.decoded_by(asked.decoder),
        path,
        device=asked.device,
        runtime=form.runtime,
        precision=form.precision,
        weights_dir=asked.weights_dir,
        manifest=form.manifest,
        workers=asked.workers,
    )
    rule = ThresholdRule(
        subject, class_names(), profile=form.profile, max_fpr=asked.max_fpr, max_fnr=asked.max_fnr
    )
    self_test(classifier, rule, asked.profile_folders)
    return (classifier if classifier.model_info.device == "cpu" else Batcher(classifier)), rule


def _finds_a_gpu() -> bool:
    """Asks torch only where a driver is: importing it takes seconds, and memory for good."""
    if not any(Path(driver).exists() for driver in ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")):
        return False
    import torch

    return torch.cuda.is_available()


def _computes_in_bf16() -> bool:
    """Whether the processor multiplies bf16 by itself, as Linux tells it."""
    try:
        return re.search(r"\b(avx512_bf16|amx_bf16)\b", Path("/proc/cpuinfo").read_text()) is not None
    except OSError:
        return False
