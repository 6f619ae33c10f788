"""Cache of scores on disk: a second report takes seconds, and an interrupted run resumes.

There is one ``.jsonl`` file for each variant, profile and version of the code. Its first line is the key.
Each further line is the score of one photo, with the digest of the photo's file. Lines are appended while
photos are measured; incomplete lines are ignored.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from checker.decision.profile import Profile
from checker.decision.subject import Subject
from checker.evaluation.provenance import ROOT, provenance
from checker.evaluation.statistics import Doubles
from checker.values import ModelInfo
from models.catalogue import Preprocessing
from scripts.accuracy.scores.scores import PhotoScore

CODE = (
    "checker/decision/*.py",
    "checker/evaluation/*.py",
    "checker/pixels/**/*.py",
    "checker/runtimes/**/*.py",
    "checker/upright.py",
    "checker/values.py",
    "models/**/*.py",
    "scripts/accuracy/scores/*.py",
    "scripts/accuracy/variations/*.py",
)
"""Source files that determine a score: cached scores of other versions of these files are not used."""


class ScoreCache:
    """The cached scores of one variant. Only one process may write at a time."""

    def __init__(
        self,
        folder: Path,
        info: ModelInfo,
        preprocessing: Preprocessing,
        profile: Profile | None,
        subject: Subject,
    ) -> None:
        machine = provenance()["machine"]
        key = {
            "model": {**asdict(info), "versions": dict(info.versions)},
            "preprocessing": preprocessing.key,
            "profile": profile.profile_id if profile else None,
            "subject": asdict(subject),
            "processor": [machine["processor"], machine["instructions"]],
            "code": code_digest(),
        }
        text = json.dumps(key, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._path = folder / f"{info.model}-{info.runtime}-{info.precision}-{digest}.jsonl"
        self._first_line = text
        self._scores = self._load()

    def get(self, photo: str) -> PhotoScore | None:
        """Return the cached score of the photo with this digest."""
        return self._scores.get(photo)

    def add(self, scores: Mapping[str, PhotoScore]) -> None:
        """Append scores, keyed by the photos' digests."""
        is_new = not self._path.exists()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            lines = [json.dumps({"photo": photo, **score.as_json()}) for photo, score in scores.items()]
            # Start with a newline: otherwise the incomplete last line of a killed run would absorb the first.
            file.write("\n".join([self._first_line if is_new else "", *lines, ""]))
        self._scores.update(scores)

    def held_out(self, data_sha256: str) -> Doubles | None:
        """Return the cached cross-validated scores of the set of photos with this digest."""
        path = self._held_out_path(data_sha256)
        return np.array(json.loads(path.read_text("utf-8"))) if path.is_file() else None

    def add_held_out(self, data_sha256: str, scores: Iterable[float]) -> None:
        """Store the cross-validated scores of a set of photos."""
        path = self._held_out_path(data_sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(list(scores)), encoding="utf-8")
        draft.replace(path)

    def _held_out_path(self, data_sha256: str) -> Path:
        return self._path.with_name(f"{self._path.stem}-held-out-{data_sha256[:16]}.json")

    def _load(self) -> dict[str, PhotoScore]:
        scores = {}
        if self._path.is_file():
            for line in self._path.read_text("utf-8").splitlines()[1:]:
                try:
                    fields = json.loads(line)
                except ValueError:
                    continue  # empty, or incomplete because the run was killed while it wrote this line
                photo = fields.pop("photo")
                scores[photo] = PhotoScore.from_json(fields)
        return scores


@functools.cache
def code_digest() -> str:
    """Return a digest of the source files in ``CODE``."""
    digest = hashlib.sha256()
    for pattern in CODE:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
