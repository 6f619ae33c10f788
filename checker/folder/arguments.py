"""What is typed, and what is refused. Imports nothing that takes long: ``--help`` must not load a network."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from models.catalogue import default_weights_dir

OK, SOME_UNREADABLE, USAGE, INTERRUPTED, READER_GONE = 0, 1, 2, 130, 141

_CODES = """exit codes:
  0    every file was read
  1    some were not (explain: the photo was not)
  2    wrong arguments, no such path, no usable network, or the output can't be written
  130  stopped by Ctrl-C
  141  the reader of the output went away
"""


def refuse(why: str) -> int:
    """One sentence on stderr; returns the exit code."""
    sys.stderr.write(f"checker: {printable(why)}\n")
    return USAGE


def printable(text: str) -> str:
    """Without what moves a terminal's cursor or breaks the line."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """``explains`` says which of the two commands it is. Raises SystemExit where argparse has spoken."""
    explains = list(argv[:1]) == ["explain"]
    options = (_explain_parser() if explains else _check_parser()).parse_args(argv[explains:])
    options.explains = explains
    return options


def _check_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m checker",
        description="Say of every picture in files and folders whether it shows a cat.",
        epilog=f"`python -m checker explain PHOTO -o OUT.png` shows why.\n\n{_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, or a folder with all below it")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a line")
    form.add_argument("--csv", action="store_true", help="comma-separated values, with a header line")
    _common(parser)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--runtime", default="auto", choices=("auto", "torch", "openvino"))
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16", "fp16", "int8"))
    parser.add_argument("--decoder", default="cpu", choices=("cpu", "nvjpeg"))
    for rate, what in (("positive", "others that may be called cat"), ("negative", "cats called not_cat")):
        parser.add_argument(
            f"--max-false-{rate}-rate", type=_rate, default=0.01, metavar="RATE",
            help=f"share of {what}, 0.01 if not given; picks the measured threshold",
        )  # fmt: skip
    parser.add_argument("--workers", type=_workers, default=0, metavar="N", help="threads; 0: one per core")
    return parser


def _explain_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m checker explain",
        description="Show where in a photo the evidence for the subject lies, as heat over it.",
        epilog=_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("photo", metavar="PHOTO")
    parser.add_argument("-o", "--output", type=_png, required=True, metavar="OUT.png")
    _common(parser)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="auto", help="a network of the catalogue; auto: the best on disk")
    parser.add_argument("--subject", default="house_cat", help="house_cat, feline, dog, or a .toml file")
    parser.add_argument("--weights-dir", type=Path, default=default_weights_dir(), metavar="DIR")
    parser.add_argument(
        "--profiles", type=_folder, action="append", default=[], metavar="DIR",
        help="look here for measured profiles first, then among the shipped ones",
    )  # fmt: skip
    parser.add_argument("-v", "--verbose", action="store_true", help="log lines and warnings on stderr")


def _rate(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0.0001 <= (rate := float(text)) <= 0.5:  # not NaN either
            return rate
    raise argparse.ArgumentTypeError(f"{text} is no number between 0.0001 and 0.5")


def _workers(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 0 <= (workers := int(text)) <= 256:
            return workers
    raise argparse.ArgumentTypeError(f"{text} is no whole number between 0 and 256")


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text}")
    return Path(text)


def _png(text: str) -> Path:
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError(f"{text} does not end in .png, which it will be")
    return _folder(str(Path(text).parent)) / Path(text).name
