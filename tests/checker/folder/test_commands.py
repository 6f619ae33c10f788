"""The commands of the folder tool."""

from __future__ import annotations

from typing import cast

import pytest

from catloader.demo.client import until
from checker.decision.operating_point import ThresholdRule
from checker.folder.commands import _making
from checker.ports import Classifier
from checker.runtimes.selection.select import SelectedVariant
from checker.runtimes.selection.variants import Variant
from tests.support import openvino_variants


@pytest.mark.slow
def test_a_variant_that_was_made_during_the_run_is_not_called_missing() -> None:
    entry, _ = openvino_variants.made("fp32")  # the child finds it
    serving, missing = (Variant(runtime, "fp32", None, None) for runtime in ("torch", "openvino"))
    choice = SelectedVariant(cast(Classifier, None), cast(ThresholdRule, None), serving, missing, ())
    assert choice.why_not_faster == "OpenVINO fp32 is faster than torch fp32, but is not made yet."
    with _making(choice, entry.name, openvino_variants.folder("fp32")) as by_now:
        for _ in until(120, "The variant was not made"):
            if (reason := by_now().why_not_faster) != choice.why_not_faster:
                break
    assert reason == "OpenVINO fp32 is made now, and checks from the next run on."
