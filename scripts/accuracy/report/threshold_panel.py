"""The report's threshold slider, and the photos whose verdict is wrong at the chosen threshold."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from PIL import Image

from checker.evaluation.photos import CAT, NOT_CAT, LabelledPhoto
from checker.values import Rendition
from scripts.accuracy.breakdown import members_by_kind
from scripts.accuracy.rules import held_back
from scripts.accuracy.run import Compared

SHOWN = 12
"""Number of photos of each label, those with the worst scores, that are shown even if their verdict is right.
"""
KEPT = 36
"""Number of photos of each label in the page, for thresholds at which more are wrong; each takes 5 kB."""
CONTACT_PX = 128
_RANGE = 9
"""The log-odds at the slider's ends: scores of 0.0001 and 0.9999."""


class Thumbnails:
    """Thumbnails of the photos as data URLs; each is made once."""

    def __init__(self, photos: Sequence[LabelledPhoto]) -> None:
        self._photos = photos
        self._urls: dict[int, str] = {}

    def url(self, number: int) -> str:
        """Return the thumbnail of a photo by its index among all photos."""
        if number not in self._urls:
            with Image.open(io.BytesIO(self._photos[number].read()[Rendition.THUMBNAIL])) as image:
                small = image.convert("RGB").resize((CONTACT_PX, CONTACT_PX))
            out = io.BytesIO()
            small.save(out, "JPEG", quality=80)
            self._urls[number] = f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode('ascii')}"
        return self._urls[number]


def panel(one: Compared) -> str:
    """Return the slider, hidden until the script shows it. It starts at the thresholds in use."""
    data = json.dumps(_data(one)).replace("</", "<\\/")
    return (
        f'<script type="application/json" class="scores">{data}</script>'
        '<div class="threshold" hidden><label>From which score on is a photo called cat? '
        f'<input type="range" min="-{_RANGE}" max="{_RANGE}" step="0.02"></label>'
        '<p>Threshold <output class="at"></output>: <output class="found"></output> cats found, '
        '<output class="called"></output> others called cat, <output class="unsure"></output> unsure. '
        '<button type="button">Threshold in use</button></p></div>'
    )


def _data(one: Compared) -> dict[str, Any]:
    thresholds = one.rules[0].thresholds
    assert thresholds is not None, "CatLoader's rule has thresholds"
    scores = one.scores
    judged = np.array([row.score for row in scores.rows])
    judged[~scores.wild] = one.rules[0].scores
    judged = np.round(judged, 6)
    called = np.where(held_back(scores, judged, thresholds), -1, judged)
    groups = members_by_kind(scores)
    return {
        "at": thresholds.cat_at,
        "below": thresholds.not_cat_below,
        "cats": called[scores.labels == CAT].tolist(),
        "others": called[scores.labels == NOT_CAT].tolist(),
        "kinds": {kind: called[members].tolist() for kind, (_, members) in groups.items()},
        "scores": [judged[scores.labels == label].tolist() for label in (CAT, NOT_CAT)],
        "shown": SHOWN,
    }


def worst_photos(one: Compared, thumbnails: Thumbnails, label: str) -> str:
    """Return the photos of a label, ``cat`` or ``not_cat``, with the worst scores."""
    places = np.flatnonzero(one.scores.labels == label)
    known = np.flatnonzero(~one.scores.wild)
    judged = dict(zip(known.tolist(), one.rules[0].scores.tolist(), strict=True))
    sign = 1 if label == CAT else -1
    worst = sorted(places.tolist(), key=lambda place: sign * judged[place])[:KEPT]
    figures = "".join(
        _figure(one, thumbnails, place, judged[place], hidden=number >= SHOWN)
        for number, place in enumerate(worst)
    )
    return f'<p class="note"></p><div class="photos" data-label="{label}">{figures}</div>'


def _figure(one: Compared, thumbnails: Thumbnails, place: int, score: float, *, hidden: bool) -> str:
    row = one.scores.rows[place]
    shown = " hidden" if hidden else ""
    thresholds = one.rules[0].thresholds
    assert thresholds is not None, "CatLoader's rule has thresholds"
    too_soft = row.soft and score < thresholds.soft_cat_at
    veto = " (vetoed)" if row.vetoed else " (soft)" if too_soft else ""
    of_verdict = -1 if row.vetoed or too_soft else round(score, 6)
    return (
        f'<figure data-score="{of_verdict}"{shown}><img src="{thumbnails.url(place)}" '
        f'width="{CONTACT_PX}" height="{CONTACT_PX}" alt=""><figcaption>{escape(one.scores.names[place])}<br>'
        f'<span class="score">{score:.4f}{veto}</span></figcaption></figure>'
    )
