"""Command-line arguments of the folder tool. ``--help`` must not load numpy or torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from checker import __version__
from checker.folder.option_types import NonEmptyPath, new_file, new_results, number, png
from checker.process.exits import ending_without_reader
from checker.runtimes.names import DECODERS, DEVICES, PRECISIONS, RUNTIMES
from models.catalogue import default_weights_dir

OK, SOME_UNREADABLE, USAGE = 0, 1, 2

_EXIT_CODES = """\b
Exit codes:
  0    every file was read
  1    some files were not read (explain: the photo was not read)
  2    wrong arguments, no such path, no usable model, or the output can't be written
  130  stopped by Ctrl-C
  141  the reader of the output closed it
"""
_PROGRAM = "python -m checker"
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of both commands."""

    model: str
    subject: str
    weights_dir: Path
    profiles: tuple[Path, ...]
    verbose: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions(Options):
    paths: tuple[str, ...]
    as_json: bool
    as_csv: bool
    device: str
    runtime: str
    precision: str
    decoder: str
    max_false_positive_rate: float
    max_false_negative_rate: float
    workers: int
    resume: Path | None
    megadetector: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainOptions(Options):
    photo: str
    output: Path


def refuse(reason: str) -> int:
    """Print one sentence on stderr; return the exit code."""
    sys.stderr.write(f"checker: {printable(reason)}\n")
    return USAGE


def printable(text: str) -> str:
    """Escape characters that move a terminal's cursor or break the line."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def parse(argv: Sequence[str]) -> CheckOptions | ExplainOptions | int:
    """Parse the arguments; return the exit code if help or an error was printed instead."""
    explains = list(argv[:1]) == ["explain"]
    command, name = (_explain, f"{_PROGRAM} explain") if explains else (_check, _PROGRAM)
    try:
        options: CheckOptions | ExplainOptions | int = command.main(
            list(argv[explains:]), prog_name=name, standalone_mode=False
        )
    except click.ClickException as error:
        error.show()
        return USAGE
    return options


_RATE = number(float, 0.0001, 0.5)


def _common(command: Decorated) -> Decorated:
    """Add the options of both commands."""
    for option in (
        click.version_option(__version__, prog_name="checker", message="%(prog)s %(version)s"),
        click.option("-v", "--verbose", is_flag=True, help="Print log lines and warnings on stderr."),
        click.option(
            "--profiles",
            multiple=True,
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            metavar="DIR",
            help="Search here for measured profiles before the shipped ones; may be repeated.",
        ),
        click.option("--weights-dir", type=NonEmptyPath(), metavar="DIR", help="Folder of fetched weights."),
        click.option("--subject", default="house_cat", help="house_cat, feline, dog, or a .toml file."),
        click.option("--model", default="auto", help="A model of the catalogue; auto: the best one on disk."),
    ):
        command = option(command)
    return command


def _choice(name: str, choices: Sequence[str], help_text: str) -> Callable[[Decorated], Decorated]:
    return click.option(
        name, type=click.Choice(choices), default=choices[0], show_default=True, help=help_text
    )


class _Command(click.Command):
    """A command that exits cleanly if its help is read only in part (``| head``)."""

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        with ending_without_reader():
            return super().make_context(*args, **options)


@click.command(
    cls=_Command,
    context_settings=_SETTINGS,
    epilog=f"`{_PROGRAM} explain PHOTO -o OUT.png` shows the evidence in one photo.\n\n{_EXIT_CODES}",
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.UNPROCESSED)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values with a header line.")
@_common
@_choice("--device", DEVICES, "auto uses a GPU if there is one.")
@_choice("--runtime", RUNTIMES, "auto uses the fastest measured variant.")
@_choice("--precision", PRECISIONS, "auto: the precision of the fastest measured variant.")
@_choice("--decoder", DECODERS, "nvjpeg decodes on a GPU (experimental).")
@click.option(
    "--max-false-positive-rate",
    type=_RATE,
    default=0.01,
    show_default=True,
    metavar="RATE",
    help="Highest false-positive rate to accept: share of other photos called cat.",
)
@click.option(
    "--max-false-negative-rate",
    type=_RATE,
    default=0.01,
    show_default=True,
    metavar="RATE",
    help="Highest false-negative rate to accept: share of cats called not_cat.",
)
@click.option("--workers", type=number(int, 0, 256), default=0, metavar="N", help="Threads; 0: one per core.")
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    callback=new_file,
    metavar="FILE",
    help="Also append the verdicts, as lines of --json, to FILE; skip the files that it contains.",
)
@click.option(
    "--megadetector",
    type=click.Path(path_type=Path),
    callback=new_results,
    metavar="FILE",
    help="Write FILE in MegaDetector's batch format at the end, for Timelapse.",
)
def _check(weights_dir: Path | None, **options: Any) -> CheckOptions:
    """Check every photo in files and folders: does it show a cat?"""
    if options["as_json"] and options["as_csv"]:
        raise click.UsageError("--json and --csv can't be used together.")
    resume, results = options["resume"], options["megadetector"]
    if resume and results and os.path.realpath(resume) == os.path.realpath(results):
        raise click.UsageError("--resume and --megadetector can't be one file.")
    return CheckOptions(weights_dir=weights_dir or default_weights_dir(), **options)


@click.command(cls=_Command, context_settings=_SETTINGS, epilog=_EXIT_CODES)
@click.argument("photo", type=click.UNPROCESSED)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    callback=png,
    metavar="OUT.png",
    help="The PNG to write.",
)
@_common
def _explain(weights_dir: Path | None, **options: Any) -> ExplainOptions:
    """Draw a heat map over a photo: the evidence for the subject."""
    photo, output = Path(options["photo"]), options["output"]
    if photo.exists() and output.exists() and photo.samefile(output):
        raise click.UsageError("The PNG would replace the photo: choose another name.")
    return ExplainOptions(weights_dir=weights_dir or default_weights_dir(), **options)
