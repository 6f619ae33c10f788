"""What the folder tool does once its arguments are good: its root, as ``catloader.wiring`` is the site's."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from checker.cores import available_cores
from checker.decision.operating_point import SHIPPED_PROFILES, ThresholdRule
from checker.decision.profile import ProfileKey, find_profile
from checker.decision.subject import Subject, load_subject
from checker.errors import UnreadableImage
from checker.folder import report
from checker.folder.arguments import INTERRUPTED, OK, SOME_UNREADABLE, refuse
from checker.folder.walk import Checked, check_files, read, walk
from checker.pipeline import LoadedModel
from checker.pixels.renditions import site_renditions
from checker.runtimes.select import load_checker
from checker.runtimes.variants import RuntimeRequest
from checker.values import ModelInfo, Rendition
from models.catalogue import Entry, class_names, resolve


def check(options: argparse.Namespace) -> int:
    """Check files and folders; returns the exit code.

    Raises:
        ModelRefused, models.errors.ModelsError: no network, subject or threshold as asked for.
        OSError: the output can't be written.
    """
    if (path := _missing(options.paths)) is not None:
        return refuse(f"There is no {path}.")
    entry, weights, subject = _chosen(options)
    progress = report.Progress(sys.stderr, _counting(options.paths))
    progress.note("loading the network ...")
    try:
        loaded, rule = _load(entry, weights, subject, options)
    finally:
        progress.clear()
    model_info = loaded.classifier.model_info
    checks = check_files(
        walk(options.paths),
        loaded,
        workers=options.workers or available_cores(),
        # On a GPU a forward pass has its price, whatever its size.
        batch_photos=4 if model_info.device == "cpu" else 32,
    )
    with contextlib.closing(checks):
        code = _tell(checks, model_info, rule, progress, options)
    loaded.classifier.close()
    return code


def explain(options: argparse.Namespace) -> int:
    """Write the heat map of one photo; returns the exit code. Raises what ``check`` does."""
    if (path := _missing([options.photo])) is not None:
        return refuse(f"There is no {path}.")
    entry, weights, subject = _chosen(options)
    try:
        photo = site_renditions(read(options.photo))[Rendition.PHOTO]
    except UnreadableImage as error:
        refuse(f"{options.photo}: {error}")
        return SOME_UNREADABLE

    from checker.explain import explain as heat_over
    from models.digest import verify

    key = ProfileKey(verify(entry, weights), entry.preprocessing.key, "torch", "fp32", subject)
    profile = find_profile(key, (*options.profiles, SHIPPED_PROFILES))
    png = heat_over(entry, weights, photo, subject, profile.head if profile else None)
    options.output.write_bytes(png)
    return OK


def _tell(
    checks: Iterable[Checked],
    model_info: ModelInfo,
    rule: ThresholdRule,
    progress: report.Progress,
    options: argparse.Namespace,
) -> int:
    out, verdicts, code = sys.stdout, Counter[str](), OK
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(encoding="utf-8", errors="replace")  # whatever the locale: JSON is UTF-8
    to_terminal = out.isatty()
    as_line = report.json_line if options.json else report.csv_line if options.csv else report.table_line
    if not options.json:
        out.write(report.csv_header() if options.csv else report.table_header(model_info, rule))
    started_s = time.monotonic()
    try:
        for checked in checks:
            fields = report.row(checked, model_info, rule)
            line = as_line(fields)
            if to_terminal:
                progress.clear()
            verdicts[fields["verdict"]] += 1  # so close to the line that a Ctrl-C hardly ever comes between
            out.write(line)
            out.flush()
            progress.show(verdicts.total())
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        progress.clear()
    out.flush()
    sys.stderr.write(report.summary(verdicts, time.monotonic() - started_s, rule))
    return code or (SOME_UNREADABLE if verdicts["unreadable"] else OK)


def _counting(paths: Sequence[str]) -> Callable[[], int | None]:
    """How many files there are, once a thread has counted them; only a terminal's progress bar asks."""
    counted: list[int] = []
    if sys.stderr.isatty():
        threading.Thread(target=lambda: counted.append(sum(1 for _ in walk(paths))), daemon=True).start()
    return lambda: counted[0] if counted else None


def _missing(paths: Sequence[str]) -> str | None:
    for path in paths:
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return path
        except OSError:
            continue  # it is there, or may be: its row will tell
    return None


def _chosen(options: argparse.Namespace) -> tuple[Entry, Path, Subject]:
    subject = load_subject(options.subject, class_names())
    return *resolve(options.model, options.weights_dir), subject


def _load(
    entry: Entry, weights: Path, subject: Subject, options: argparse.Namespace
) -> tuple[LoadedModel, ThresholdRule]:
    asked = RuntimeRequest(
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
    classifier, rule = load_checker(entry, weights, subject, asked)
    return LoadedModel(classifier, rule), rule
