"""The folder tool's check, and its composition root (the site's is ``catloader.wiring``)."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from checker.decision.operating_point import SHIPPED_PROFILES, ThresholdRule
from checker.decision.subject import load_subject
from checker.folder import report
from checker.folder.arguments import (
    OK,
    SOME_UNREADABLE,
    CheckOptions,
    refuse,
)
from checker.folder.checkpoint import variant_in
from checker.folder.distinct import distinct_paths, missing_path
from checker.folder.progress import Clock, Progress
from checker.folder.records import Records
from checker.folder.skipped import Skipped
from checker.folder.walk import Checked, check_files, walk
from checker.pipeline import LoadedModel
from checker.process.cores import available_cores
from checker.process.exits import INTERRUPTED
from checker.runtimes.selection.auto import AUTO, candidates
from checker.runtimes.selection.background import BackgroundTask
from checker.runtimes.selection.select import SelectedVariant, select_model
from checker.runtimes.selection.variants import RuntimeRequest
from checker.values import ModelInfo
from models.catalogue import class_names, resolve

_MICRO_BATCH_PHOTOS = {"cpu": 2, "gpu": 32}
"""On a CPU four photos are no faster and take 35 MB more. On a GPU a forward pass takes nearly the same time
for any number of photos."""


@dataclass(frozen=True, slots=True)
class _Status:
    """The sources of the lines on stderr."""

    progress: Progress
    clock: Clock
    skipped: Skipped


def check(options: CheckOptions) -> int:
    """Check files and folders; return the exit code.

    Raises:
        ModelRefused, models.errors.ModelsError: the requested model, subject or rates are not available.
        CannotResume: the file to resume from is not usable.
        OSError: the output can't be written.
    """
    if (path := missing_path(options.paths)) is not None:
        return refuse(f"There is no file or folder {path or 'with an empty name'}.")
    paths = distinct_paths(options.paths)
    subject = load_subject(options.subject, class_names())
    options = _continuing(options, subject.name)
    request = request_of(options)
    models = (
        candidates(subject, request)
        if options.model == AUTO
        else [resolve(options.model, options.weights_dir)]
    )
    total: list[int] = []
    progress = Progress(sys.stderr, lambda: total[0] if total else None)
    progress.note("loading the model ...")
    try:
        choice = select_model(models, subject, request)
    finally:
        progress.clear()
    classifier, rule = choice.classifier, choice.rule
    model_info = classifier.model_info
    records, skipped, clock = Records(options, model_info, rule), Skipped(), Clock()
    if sys.stderr.isatty():  # a terminal's progress bar shows a total
        files = records.new(walk(paths), Skipped())
        threading.Thread(target=lambda: total.append(sum(1 for _ in files)), daemon=True).start()
    checks = check_files(
        clock.started_by(records.new(walk(paths, on_skip=skipped.add), skipped)),
        LoadedModel(classifier, rule),
        workers=options.workers or available_cores(),
        batch_photos=_MICRO_BATCH_PHOTOS["cpu" if model_info.device == "cpu" else "gpu"],
    )
    with (
        contextlib.closing(records),
        contextlib.closing(checks),
        _making(choice, model_info.model, options.weights_dir) as by_now,
    ):
        status = _Status(progress, clock, skipped)
        code = _print(checks, model_info, rule, options, records=records, status=status)
        why_not_faster = by_now().why_not_faster
    sys.stderr.write(skipped.line())
    sys.stderr.write(report.slower_line(why_not_faster))
    classifier.close()
    return code


@contextlib.contextmanager
def _making(choice: SelectedVariant, name: str, weights_dir: Path) -> Iterator[Callable[[], SelectedVariant]]:
    """Make a missing faster variant in the background. The next run uses it if this run lasts long enough.

    Yields:
        A function that returns the choice: with the faster variant if it has been made by then.
    """
    if (missing := choice.not_made) is None:
        yield lambda: choice
        return
    with contextlib.closing(BackgroundTask.optimise(name, missing.precision, weights_dir)) as task:
        yield lambda: choice.once_made() if task.is_done() else choice


def _print(
    checks: Iterable[Checked],
    model_info: ModelInfo,
    rule: ThresholdRule,
    options: CheckOptions,
    *,
    records: Records,
    status: _Status,
) -> int:
    out, verdicts, code = sys.stdout, Counter[str](), OK
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(encoding="utf-8", errors="replace")  # in any locale: JSON is UTF-8
    to_terminal = out.isatty()
    wild = frozenset(rule.class_names[number] for number in rule.subject.wild)
    format_line = _line_format(options, wild, colour=to_terminal and "NO_COLOR" not in os.environ)
    if not options.as_json:
        out.write(report.csv_header() if options.as_csv else report.table_header(model_info, rule))
    try:
        for checked in checks:
            row = report.row(checked, model_info, rule)
            line = format_line(row)
            if to_terminal:
                status.progress.clear()
            verdicts[row["verdict"]] += 1  # just before the row, so that Ctrl-C hardly ever separates them
            records.add(row)  # before the output, or the next run could check and show this photo again
            out.write(line)
            out.flush()
            status.progress.advance()
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        status.progress.close()
    out.flush()
    sys.stderr.write(report.summary(verdicts, status.clock.seconds(), rule, known=status.skipped.known))
    return code or (SOME_UNREADABLE if verdicts["unreadable"] else OK)


def _line_format(
    options: CheckOptions, wild: Collection[str], *, colour: bool
) -> Callable[[report.Row], str]:
    if options.as_json:
        return report.json_line
    if options.as_csv:
        return report.csv_line
    return lambda row: report.table_line(row, wild=wild, colour=colour)


def _continuing(options: CheckOptions, subject: str) -> CheckOptions:
    """Return the options with model and variant of the file of ``--resume``, unless others are requested.

    Otherwise ``auto`` could mean a better model or a faster variant, which was fetched or made since.
    """
    before = variant_in(options.resume, subject) if options.resume else None
    requested = options.model, options.runtime, options.precision
    if before is None or any(name not in (AUTO, used) for name, used in zip(requested, before, strict=True)):
        return options
    model, runtime, precision = before
    return replace(options, model=model, runtime=runtime, precision=precision)


def request_of(options: CheckOptions) -> RuntimeRequest:
    return RuntimeRequest(
        device=options.device,
        runtime=options.runtime,
        precision=options.precision,
        max_fpr=options.max_false_positive_rate,
        max_fnr=options.max_false_negative_rate,
        profile_folders=(*options.profiles, SHIPPED_PROFILES),
        weights_dir=options.weights_dir,
        workers=options.workers,
        decoder=options.decoder,
    )
