"""The HTML report of the accuracy benchmark: one file with charts and thumbnails, which loads nothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np
from PIL import Image

from checker.evaluation.photos import CAT, NOT_CAT, WILD_FELINE, LabelledPhoto
from checker.evaluation.provenance import machine_kind
from checker.evaluation.statistics import Flags
from checker.values import Rendition
from scripts.accuracy import charts
from scripts.accuracy.rules import CATLOADER, Rule
from scripts.accuracy.run import VERDICTS, Compared
from scripts.accuracy.text import interval, speed, summary

_TITLE = "Accuracy of the Cat Checker"
WORST = 12
"""Thumbnails of each label, those with the most wrong scores."""
CONTACT_PX = 128
_STYLE = """
:root{color-scheme:light dark;--paper:#faf8f5;--card:#fff;--ink:#211c17;--soft:#665d53;--line:#e5ded4}
@media(prefers-color-scheme:dark){:root{--paper:#171411;--card:#211d19;--ink:#f1ebe3;--soft:#b0a597;--line:#3a332c}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:68rem;overflow-wrap:anywhere;background:var(--paper);
color:var(--ink);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",Cantarell,sans-serif}
h1,h2,h3{line-height:1.2;letter-spacing:-.015em;text-wrap:balance}h2{margin-top:2.5rem}
.result{font-size:1.25rem;font-weight:600}.note,figcaption{color:var(--soft);font-size:.85rem}
.scroll{overflow-x:auto;margin:1rem 0}table{border-collapse:collapse;background:var(--card)}
td,th{padding:.4rem .8rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
td:first-child,th:first-child{text-align:left;white-space:normal;min-width:7rem;overflow-wrap:normal}
@media(max-width:30rem){td,th{padding:.35rem .5rem}}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));gap:1rem}
svg{width:100%;max-width:32rem;height:auto;background:var(--card);border-radius:14px}
.photos{display:grid;grid-template-columns:repeat(auto-fill,minmax(8rem,1fr));gap:.7rem}
figure{margin:0}img{width:100%;height:auto;border-radius:10px;display:block}
"""


def report(result: dict[str, Any], compared: Sequence[Compared], photos: Sequence[LabelledPhoto]) -> str:
    """Return the page; ``photos`` are those that were measured, in their order."""
    several = len(compared) > 1
    results = [
        f'<p class="result">{escape(f"{one.name}: " if several else "")}{escape(summary(one.result))}</p>'
        for one in compared
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_TITLE}</title><style>{_STYLE}</style><h1>{_TITLE}</h1>"
        + "".join([*results, _about(result), *_comparison(result)])
        + "".join(part for one in compared for part in _model(one, photos))
        + "</html>\n"
    )


def _about(result: dict[str, Any]) -> str:
    counts = result["data"]["counts"]
    labels = {CAT: "cats", NOT_CAT: "others", WILD_FELINE: "wild felines"}
    photos = ", ".join(f"{counts[label]} {plural}" for label, plural in labels.items() if label in counts)
    return (
        f'<p class="note">{photos} (data {result["data"]["sha256"][:12]}); '
        f"{escape(machine_kind(result['machine']))}; commit {escape(result['commit'][:20])}, "
        f"{escape(result['date'])}. <code>{escape(result['command'])}</code></p>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}" for cell in row) for row in rows)
    heading = "".join(f"<th>{escape(cell)}" for cell in head)
    return f'<div class="scroll"><table><tr>{heading}{body}</table></div>'


def _share(row: dict[str, Any]) -> str:
    return f"{row['rate']:.2%} ({interval(row)})"


def _counted(verdicts: dict[str, int], share: dict[str, Any]) -> str:
    return f"{verdicts['cat']} of {sum(verdicts.values())} ({interval(share)})"


def _comparison(result: dict[str, Any]) -> list[str]:
    rows = [
        [
            name,
            f"{model['auc']:.5f}",
            f"{model['ece']:.4f}",
            *(_share(model["recall_at_fpr"][target]) for target in ("0.003", "0.01")),
            speed(model),
        ]
        for name, model in result["models"].items()
    ]
    head = ["model", "AUC", "ECE", "recall at 0.3 % false positives", "at 1 %", "speed"]
    parts = [_table(head, rows)]
    if result["mcnemar"]:
        pairs = [
            [pair["first"], pair["second"], pair["only_first"], pair["only_second"], f"{pair['p']:.3f}"]
            for pair in result["mcnemar"]
        ]
        parts.append("<h2>McNemar's test between models, CatLoader's rule</h2>")
        parts.append(_table(["first", "second", "only the first is right", "only the second", "p"], pairs))
    return parts


def _model(one: Compared, photos: Sequence[LabelledPhoto]) -> list[str]:
    result = one.result
    about = escape(f"{result['profile_id']}: {result['scores']}")
    parts = [f'<h2>{escape(one.name)}</h2><p class="note">{about}</p>']
    confusion = result["rules"][CATLOADER]["confusion"]
    titles = {CAT: "cat", NOT_CAT: "no cat", WILD_FELINE: "wild feline"}
    rows = [
        [titles[label], *(counts[verdict] for verdict in VERDICTS)]
        for label, counts in confusion.items()
        if sum(counts.values())
    ]
    parts.append(_table(["photo shows", "cat", "unsure", "not_cat"], rows))
    rows = [
        [
            rule,
            _counted(row["confusion"][CAT], row["recall"]),
            _counted(row["confusion"][NOT_CAT], row["false_positive_rate"]),
            sum(row["confusion"][label]["unsure"] for label in (CAT, NOT_CAT)),
            row["confusion"][WILD_FELINE]["cat"],
        ]
        for rule, row in result["rules"].items()
    ]
    head = ["rule", "cats found (95 % interval)", "others called cat (95 % interval)"]
    head += ["unsure", "wild felines called cat"]
    parts.append(_table(head, rows))
    parts.append(_charts(one))
    catloader, positive = one.rules[0], one.positive
    known = [photo for photo in photos if photo.label != WILD_FELINE]
    parts += ["<h3>Cats with the lowest scores</h3>", _worst(known, catloader, positive, 1)]
    parts += ["<h3>Others with the highest scores</h3>", _worst(known, catloader, ~positive, -1)]
    return parts


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
    return f'{note}<div class="charts">{"".join(drawn)}</div>'


def _worst(photos: Sequence[LabelledPhoto], rule: Rule, among: Flags, sign: int) -> str:
    members = np.flatnonzero(among)
    worst = members[np.argsort(sign * rule.scores[members], kind="stable")][:WORST]
    return f'<div class="photos">{"".join(_photo(photos[i], float(rule.scores[i])) for i in worst)}</div>'


def _photo(photo: LabelledPhoto, score: float) -> str:
    with Image.open(io.BytesIO(photo.read()[Rendition.THUMBNAIL])) as image:
        small = image.convert("RGB").resize((CONTACT_PX, CONTACT_PX))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    data = base64.b64encode(out.getvalue()).decode("ascii")
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" width="{CONTACT_PX}" height="{CONTACT_PX}" alt="">'
        f"<figcaption>{escape(photo.name)}<br>{score:.4f}</figcaption></figure>"
    )
