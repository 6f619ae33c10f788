"""Quantisation to int8, for processors with and without VNNI. Needs nncf."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

SETTINGS = "overflow fix, depthwise stem in fp32"
"""Part of an int8 variant's name and manifest; change it whenever ``quantise`` changes."""


def quantise(nncf: Any, model: Any, photos: Pixels) -> Any:
    """Quantise weights per channel and activations per tensor, with the same results on every processor.

    ``scripts/compare_int8.py`` compares these settings with others; docs/decisions/0003-openvino.md has its
    figures.

    Args:
        model: an OpenVINO model in fp32, which is not changed.
        photos: they determine the ranges of the activations and the corrections of biases.
    """
    # Not nncf.set_log_level, which would also change the level of this process's handlers.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    dataset = nncf.Dataset([photo[np.newaxis] for photo in photos])
    # Without VNNI, x86 adds two u8 x s8 products in 16 bits, and the sum may saturate. With weights of 7 bits
    # it can't, so no logit differs between processors with and without VNNI.
    advanced = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE)
    ignored = nncf.IgnoredScope(names=_depthwise_stem(model))
    with contextlib.redirect_stdout(sys.stderr):  # for the progress bars of nncf
        return nncf.quantize(
            model.clone(),
            dataset,
            subset_size=len(photos),
            ignored_scope=ignored,
            advanced_parameters=advanced,
        )


def _depthwise_stem(model: Any) -> list[str]:
    """Name the first convolution and the depthwise one after it; return [] if no depthwise one follows.

    With 7 bits these two convolutions cause half of a small model's error, and fp32 for them takes no
    measurable time. A ResNet starts with a large convolution, for which fp32 would take a tenth more time
    with little gain.
    """
    convolutions = [op for op in model.get_ordered_ops() if op.get_type_name().endswith("Convolution")]
    starts_depthwise = [op.get_type_name() for op in convolutions[:2]] == ["Convolution", "GroupConvolution"]
    return [op.get_friendly_name() for op in convolutions[:2]] if starts_depthwise else []
