"""Calibration from finished plans of labelled photos."""

from __future__ import annotations

from pathlib import Path

from catloader.bulk.kept.columns import required_keep
from catloader.bulk.kept.results import calibration_set, model_of
from catloader.bulk.plan import BulkError, Plan
from checker.decision.profile import Profile
from checker.decision.subject import Subject
from checker.evaluation.calibrate import calibrate, compared
from checker.evaluation.variants import NamedVariant
from checker.ports import Classifier


def calibrated(
    plan: Plan,
    fp32: Plan | None,
    *,
    weights_dir: Path,
    subject: Subject | None = None,
    fit_head: bool,
    penalty: float | None = None,
    threads: int = 1,
) -> tuple[Profile, Classifier]:
    """Make the profile of the variant that ran a plan, and load the variant, for the golden test.

    Args:
        fp32: required if the plan ran in int8: a plan of the same photos that ran in torch fp32 on a CPU.
        subject: None: the subject of the plan.

    Raises:
        BulkError: a plan is not done, ran with other weights, or does not fit the other plan.
        UnusablePhotos: a photo could not be classified, or the labels are exchanged.
        ModelRefused, ModelsError: the variant does not load on this machine.
    """
    subject = subject or required_keep(plan).subject
    variant = variant_of(plan, weights_dir, threads)
    if variant.precision == "int8" and fp32 is None:
        raise BulkError(
            f"The plan {plan.folder.name} ran in int8: name a plan of the same photos that ran in torch fp32 "
            "(--fp32-run)."
        )
    if variant.precision != "int8" and fp32 is not None:
        raise BulkError(
            f"The plan {plan.folder.name} ran in {variant.precision}: only a plan in int8 is compared with "
            "another (--fp32-run)."
        )

    def profile_of(measured: Plan) -> Profile:
        info, _ = model_of(measured)
        entry, _ = variant_of(measured, weights_dir, threads).resolve()
        photos = calibration_set(measured, subject, augmented=True, features=fit_head)
        return calibrate(photos, info, entry.preprocessing, subject, fit_head=fit_head, penalty=penalty)

    if fp32 is not None and variant_of(fp32, weights_dir, threads) != variant.in_fp32():
        raise BulkError(f"The plan {fp32.folder.name} did not run {variant.model} in torch fp32 on a CPU.")
    classifier = variant.load()
    if classifier.model_info.weights_sha256 != model_of(plan)[0].weights_sha256:
        raise BulkError(f"The plan {plan.folder.name} ran with other weights of {variant.model}.")
    profile = profile_of(plan)
    if fp32 is not None:
        in_fp32 = profile_of(fp32)
        if in_fp32.made["data"] != profile.made["data"]:
            raise BulkError(f"{plan.folder.name} and {fp32.folder.name} are plans of different photos.")
        profile = compared(profile, in_fp32)
    return profile, classifier


def variant_of(plan: Plan, weights_dir: Path, threads: int = 1) -> NamedVariant:
    """Return the variant that ran a plan."""
    info, decoder = model_of(plan)
    device = "cuda" if info.device.startswith("cuda") else "cpu"
    return NamedVariant(info.model, info.runtime, info.precision, device, decoder, threads, weights_dir)
