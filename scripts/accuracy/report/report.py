"""The HTML report of the accuracy benchmark: one self-contained file with charts and thumbnails."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from checker.evaluation.photos import CAT, NOT_CAT, WILD_FELINE, LabelledPhoto
from checker.evaluation.provenance import machine_kind
from checker.plurals import counted
from scripts.accuracy.report import charts
from scripts.accuracy.report.advice import advice
from scripts.accuracy.report.photo_table import photo_table
from scripts.accuracy.report.tables import Cell, counted_cell, html_table
from scripts.accuracy.report.text import BREAKDOWNS, interval, speed, summary
from scripts.accuracy.report.threshold_panel import Thumbnails, panel, worst_photos
from scripts.accuracy.rules import CATLOADER
from scripts.accuracy.run import VERDICTS, Compared

_TITLE = "Accuracy of the Cat Checker"
_HERE = Path(__file__).parent
_RATES = ("recall", "false_positive_rate", "false_negative_rate")
_RATES_HEAD = ("cats found", "others called cat", "cats called not_cat", "unsure")


def report(result: dict[str, Any], compared: Sequence[Compared], photos: Sequence[LabelledPhoto]) -> str:
    """Return the HTML page; ``photos`` are the measured photos, in the order of their measurements."""
    several = len(compared) > 1
    results = [
        f'<p class="result">{escape(f"{one.name}: " if several else "")}{escape(summary(one.result))}</p>'
        for one in compared
    ]
    thumbnails = Thumbnails(photos)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_TITLE}</title><style>{_text('report.css')}</style><h1>{_TITLE}</h1>"
        + "".join([*results, _about(result), _download(compared), *_comparison(result)])
        + "".join(f"<section>{_model(one, thumbnails)}</section>" for one in compared)
        + f"<script>{_text('report.js')}</script></html>\n"
    )


def _text(name: str) -> str:
    return (_HERE / name).read_text("utf-8")


def _about(result: dict[str, Any]) -> str:
    counts = result["data"]["counts"]
    nouns = {CAT: "cat", NOT_CAT: "other", WILD_FELINE: "wild feline"}
    photos = ", ".join(counted(counts[label], noun) for label, noun in nouns.items() if label in counts)
    return (
        f'<p class="note">{photos} (data {result["data"]["sha256"][:12]}); '
        f"{escape(machine_kind(result['machine']))}; commit {escape(result['commit'][:20])}, "
        f"{escape(result['date'])}. <code>{escape(result['command'])}</code>. "
        "Intervals are 95 % (Wilson).</p>"
    )


def _download(compared: Sequence[Compared]) -> str:
    table = base64.b64encode(photo_table(compared).encode()).decode("ascii")
    return (
        f'<p><a download="accuracy.csv" href="data:text/csv;base64,{table}">Table of all photos (CSV)</a></p>'
    )


def _comparison(result: dict[str, Any]) -> list[str]:
    rows = [
        [
            name,
            f"{model['auc']:.5f}",
            f"{model['ece']:.4f}",
            *(_share(model["recall_at_fpr"][target]) for target in ("0.003", "0.01")),
        ]
        for name, model in result["models"].items()
    ]
    head = ["model", "AUC", "ECE", "recall at 0.3 % false positives", "at 1 %"]
    parts = [html_table(head, rows)]
    if result["mcnemar"]:
        pairs = [
            [pair["first"], pair["second"], pair["only_first"], pair["only_second"], f"{pair['p']:.3f}"]
            for pair in result["mcnemar"]
        ]
        parts.append("<h2>McNemar's test between models, CatLoader's rule</h2>")
        parts.append(
            html_table(["first", "second", "only the first is right", "only the second", "p"], pairs)
        )
    return parts


def _share(row: dict[str, Any]) -> Cell:
    return Cell(f"{row['rate']:.2%}", interval(row))


def _model(one: Compared, thumbnails: Thumbnails) -> str:
    result = one.result
    about = escape(f"{result['profile_id']}: {result['scores']}; {speed(result)}")
    parts = [f'<h2>{escape(one.name)}</h2><p class="note">{about}</p>', _confusion(result), panel(one)]
    parts += ["<h3>By kind of photo</h3>", _kinds(result["kinds"])]
    parts.append(f'<p class="note">{escape(advice(result["kinds"]))}</p>')
    parts += ["<h3>Cats with the lowest scores</h3>", worst_photos(one, thumbnails, CAT)]
    parts += ["<h3>Others with the highest scores</h3>", worst_photos(one, thumbnails, NOT_CAT)]
    parts += ["<h3>Rules of other programs, on the same activations</h3>", _rules(result), _charts(one)]
    for key, title in BREAKDOWNS.items():
        tables = [
            f"<h4>{escape(group)}</h4>{_rates_table('', rows)}" for group, rows in result.get(key, {}).items()
        ]
        if tables:
            parts.append(f"<details><summary>{title}</summary>{''.join(tables)}</details>")
    return "".join(parts)


def _confusion(result: dict[str, Any]) -> str:
    titles = {CAT: "cat", NOT_CAT: "no cat", WILD_FELINE: "wild feline"}
    rows = [
        [titles[label], *(counts[verdict] for verdict in VERDICTS)]
        for label, counts in result["rules"][CATLOADER]["confusion"].items()
        if sum(counts.values())
    ]
    return html_table(["photo shows", "cat", "unsure", "not_cat"], rows)


def _kinds(kinds: dict[str, Any]) -> str:
    """Return the table that follows the slider; cats are right if called cat, other kinds if not."""
    rows = [
        [kind, counted_cell(row.get("recall") or row["false_positive_rate"], kind), row["unsure"]]
        for kind, row in kinds.items()
    ]
    return html_table(["kind", "called cat", "unsure, in use"], rows)


def _rates_table(first: str, table: dict[str, Any]) -> str:
    rows = [
        [title, *(counted_cell(row.get(key)) for key in _RATES), row["unsure"]]
        for title, row in table.items()
    ]
    return html_table([first, *_RATES_HEAD], rows)


def _rules(result: dict[str, Any]) -> str:
    rows = [
        [
            rule,
            counted_cell(row["recall"]),
            counted_cell(row["false_positive_rate"]),
            sum(row["confusion"][label]["unsure"] for label in (CAT, NOT_CAT)),
            row["confusion"][WILD_FELINE]["cat"],
        ]
        for rule, row in result["rules"].items()
    ]
    return html_table(["rule", "cats found", "others called cat", "unsure", "wild felines called cat"], rows)


def _charts(one: Compared) -> str:
    drawn = [charts.reliability(one.result["reliability"], one.result["ece"])]
    errors = charts.fewest_errors(one.rules[0], one.positive)
    note = ""
    if errors >= charts.LEAST_ERRORS:
        drawn = charts.curves(one.rules, one.positive, one.profile.cat if one.profile else ()) + drawn
    else:
        note = (
            f'<p class="note">No ROC curve: at the best threshold {errors or "none"} of the photos '
            "would get a wrong verdict. That is too few for a curve.</p>"
        )
    return f'<h3>Curves</h3>{note}<div class="charts">{"".join(drawn)}</div>'
