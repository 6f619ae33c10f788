"""Options that name the variants to measure, for the accuracy benchmark and its ``imagenet`` command."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checker.evaluation.variants import NamedVariant
from checker.runtimes.names import DEVICES
from scripts.command_line import number

if TYPE_CHECKING:
    from catloader.settings import Settings


def add_variant_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``named_variants`` evaluates."""
    parser.add_argument(
        "--models",
        default="efficientnet_lite0",
        help="names, separated by commas; NAME@openvino-int8 selects a variant "
        "(default: %(default)s, that is --runtime and --precision)",
    )
    parser.add_argument("--weights-dir", type=Path, metavar="FOLDER", help="default: CATCHECK_WEIGHTS_DIR")
    parser.add_argument("--device", default="cpu", choices=DEVICES)
    parser.add_argument("--runtime", default="torch")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=number(int, 1, 1024), metavar="N", default=1)


def named_variants(arguments: argparse.Namespace, settings: Settings) -> dict[str, NamedVariant]:
    """Return the variants for the names on the command line."""
    return {
        name: parse_variant(
            name,
            runtime=arguments.runtime,
            precision=arguments.precision,
            device=arguments.device,
            threads=arguments.threads,
            weights_dir=arguments.weights_dir or settings.weights_dir,
        )
        for name in arguments.models.split(",")
    }


def parse_variant(name: str, **defaults: Any) -> NamedVariant:
    """Parse ``NAME`` or ``NAME@RUNTIME-PRECISION``; ``defaults`` are ``NamedVariant``'s other fields."""
    from checker.evaluation.variants import NamedVariant

    model, _, variant = name.partition("@")
    runtime, _, precision = variant.partition("-")
    return replace(
        NamedVariant(model, **defaults),
        runtime=runtime or defaults["runtime"],
        precision=precision or defaults["precision"],
    )
