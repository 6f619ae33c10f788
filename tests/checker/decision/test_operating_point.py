import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from checker.decision.head import Head, Linear, log_odds
from checker.decision.operating_point import (
    DEFAULT_THRESHOLDS,
    UNCALIBRATED,
    ThresholdRule,
    Thresholds,
    softmax,
    thresholds_for,
)
from checker.decision.profile import OperatingPoint, Profile, ProfileKey, Rate, find_profile, load_profile
from checker.decision.subject import SUBJECTS, Subject
from checker.errors import ModelRefused
from checker.values import (
    INPUTS_PER_PHOTO,
    Activations,
    Detail,
    Evidence,
    Floats,
    ModelInfo,
    Reason,
    Rendition,
    Verdict,
)
from models.catalogue import class_names, entry_named

HOUSE_CAT = SUBJECTS["house_cat"]
TABBY, LYNX, CUP = 281, 287, 968
FEATURES = 8
MODEL_INFO = ModelInfo("efficientnet_lite0", "ab" * 32, "torch", "fp32", "cpu")
PREPROCESSING = entry_named("efficientnet_lite0").preprocessing


def point(target: float, threshold: float) -> OperatingPoint:
    rate = Rate(1, 100, 0.01, 0.002, 0.05)
    return OperatingPoint(target, threshold, rate, rate)


def profile(head: Head | None = None) -> Profile:
    return Profile(
        key=ProfileKey.of(MODEL_INFO, PREPROCESSING, HOUSE_CAT),
        model="efficientnet_lite0",
        head=head or Head(),
        cat=(point(0.005, 0.9), point(0.01, 0.8), point(0.02, 0.6), point(0.05, 0.3)),
        soft=(point(0.005, 0.99), point(0.01, 0.95), point(0.02, 0.9), point(0.05, 0.2)),
        not_cat=(point(0.005, 0.05), point(0.01, 0.1), point(0.05, 0.4)),
        made={"date": "2025-01-01"},
    )


def logits(**mass: float) -> Floats:
    """Return softmax confidences by class index (``c281=0.7``); the other classes share the rest."""
    confidences = np.full(1000, (1 - sum(mass.values())) / (1000 - len(mass)))
    for name, value in mass.items():
        confidences[int(name[1:])] = value
    logits: Floats = np.log(confidences).astype(np.float32)
    return logits


def rule(of: Profile | None = None) -> ThresholdRule:
    return ThresholdRule(HOUSE_CAT, class_names(), profile=of)


def evidence(
    photo: Floats, thumbnail: Floats | None = None, *, soft: bool = False, drawn: bool = False
) -> Evidence:
    """Return logits of whole inputs, without features; the thumbnail's equal the photo's unless given."""
    inputs = np.stack([photo, photo, photo if thumbnail is None else thumbnail])[:, np.newaxis]
    features = np.zeros((*inputs.shape[:2], FEATURES), np.float32)
    return Evidence(inputs, features, np.array(soft), np.array(drawn), np.array(0))


def evidence_of_windows(**best: Floats) -> Evidence:
    """Return windows of cups, except for those named ``wINPUT_WINDOW``."""
    inputs = np.tile(logits(c968=0.9), (INPUTS_PER_PHOTO, 5, 1))
    for name, value in best.items():
        inputs[int(name[1]), int(name[3])] = value
    features = np.zeros((INPUTS_PER_PHOTO, 5, FEATURES), np.float32)
    return Evidence(inputs, features, np.array(False), np.array(False), np.array(0))


def test_score_uses_the_sum_over_all_classes_not_the_best_one() -> None:
    spread = logits(c281=0.2, c282=0.2, c283=0.2, c284=0.1, c285=0.1)
    assert log_odds(spread, HOUSE_CAT) == pytest.approx(math.log(0.8 / 0.2), rel=1e-4)
    decision = rule().decide(evidence(spread))
    assert decision.verdict is Verdict.CAT
    assert decision.score == pytest.approx(0.8, rel=1e-4)
    assert sum(decision.subject_scores[Rendition.PHOTO].values()) == pytest.approx(0.8, rel=1e-4)


def test_photo_and_thumbnail_both_affect_the_score() -> None:
    cat, cup = logits(c281=0.9), logits(c968=0.9)
    both = rule().decide(evidence(cat)).score
    photo = rule().decide(evidence(cat, cup)).score
    thumbnail = rule().decide(evidence(cup, cat)).score
    none = rule().decide(evidence(cup)).score
    assert both > photo > thumbnail > none, "the photo is two of three inputs"


@pytest.mark.parametrize("place", [f"w{number}_{window}" for number in range(3) for window in range(5)])
def test_a_cat_in_any_window_of_any_input_is_not_ruled_out(place: str) -> None:
    decision = rule().decide(evidence_of_windows(**{place: logits(c281=0.9)}))
    assert decision.verdict is Verdict.UNSURE
    assert rule().decide(evidence_of_windows()).verdict is Verdict.NOT_CAT


def test_labels_of_the_photo_are_those_of_the_window_most_like_a_cat() -> None:
    decision = rule().decide(evidence_of_windows(w1_3=logits(c281=0.9), w0_2=logits(c282=0.5)))
    assert decision.labels[Rendition.PHOTO][0].index == TABBY
    assert decision.labels[Rendition.THUMBNAIL][0].index == CUP


def test_soft_photo_needs_a_higher_score_to_be_a_cat() -> None:
    tabby = logits(c281=0.9)
    fitted = profile()
    sharp, soft = (rule(fitted).decide(evidence(tabby, soft=soft)) for soft in (False, True))
    assert (sharp.verdict, sharp.reason, sharp.cat_at) == (Verdict.CAT, None, 0.8)
    assert (soft.verdict, soft.reason, soft.cat_at) == (Verdict.UNSURE, Reason.LOW_DETAIL, 0.95)
    assert rule(fitted).decide(evidence(logits(c281=0.97), soft=True)).verdict is Verdict.CAT
    assert rule(fitted).decide(evidence(logits(c968=0.9), soft=True)).verdict is Verdict.NOT_CAT


@pytest.mark.parametrize("score", [0.97, 0.5])
def test_a_drawing_is_never_a_cat(score: float) -> None:
    decision = rule(profile()).decide(evidence(logits(c281=score), drawn=True))
    assert (decision.verdict, decision.reason, decision.cat_at) == (Verdict.UNSURE, Reason.DRAWN, 0.8)


def test_a_drawing_of_something_else_is_not_a_cat() -> None:
    decision = rule(profile()).decide(evidence(logits(c968=0.9), drawn=True))
    assert (decision.verdict, decision.reason) == (Verdict.NOT_CAT, None)


def _behind(others: int) -> dict[str, float]:
    """Return confidences in which the given number of other classes are more likely than a tabby."""
    return {"c281": 0.01, **{f"c{number}": 0.03 for number in range(1, others + 1)}}


def test_no_photo_is_called_a_cat_without_a_cat_label() -> None:
    fooled = profile(Head(bias=20.0))
    decision = rule(fooled).decide(evidence(logits(**_behind(20))))
    assert (decision.verdict, decision.reason) == (Verdict.UNSURE, Reason.NO_LABEL)
    assert [len(labels) for labels in decision.labels.values()] == [5, 5]


def test_a_cat_that_is_among_the_first_twenty_is_the_last_label() -> None:
    decision = rule(profile(Head(bias=20.0))).decide(evidence(logits(**_behind(19))))
    assert decision.verdict is Verdict.CAT
    for labels in decision.labels.values():
        assert len(labels) == 6
        assert labels[-1].index == TABBY
    leading = rule().decide(evidence(logits(c281=0.3, **{f"c{number}": 0.1 for number in range(1, 5)})))
    assert [len(labels) for labels in leading.labels.values()] == [5, 5]


def test_decision_without_a_profile_is_uncalibrated() -> None:
    decision = rule().decide(evidence(logits(c281=0.2)))
    assert decision.profile_id == UNCALIBRATED
    assert (decision.cat_at, decision.not_cat_below) == (
        DEFAULT_THRESHOLDS.cat_at,
        DEFAULT_THRESHOLDS.not_cat_below,
    )
    assert decision.verdict is Verdict.UNSURE


def test_wild_feline_is_reported_and_never_called_a_cat() -> None:
    lynx = logits(c287=0.9)
    decision = rule().decide(evidence(lynx))
    assert decision.wild_feline
    assert decision.verdict is Verdict.NOT_CAT
    fooled = profile(Head(bias=20.0))
    decision = rule(fooled).decide(evidence(lynx))
    assert (decision.wild_feline, decision.verdict) == (True, Verdict.UNSURE)
    assert decision.reason is Reason.WILD_FELINE
    tabby = logits(c281=0.5, c287=0.4)
    assert not rule().decide(evidence(tabby)).wild_feline
    as_feline = ThresholdRule(SUBJECTS["feline"], class_names()).decide(evidence(lynx))
    assert (as_feline.wild_feline, as_feline.verdict) == (False, Verdict.CAT)


def test_labels_are_the_five_best_of_each_rendition() -> None:
    decision = rule().decide(evidence(logits(c281=0.6, c282=0.3), logits(c968=0.9)))
    photo = decision.labels[Rendition.PHOTO]
    assert [label.name for label in photo[:2]] == ["tabby", "tiger cat"]
    assert len(photo) == 5
    assert photo[0].confidence == pytest.approx(0.6, rel=1e-4)
    assert decision.labels[Rendition.THUMBNAIL][0].index == CUP


def test_two_thresholds_make_three_verdicts() -> None:
    bands = Thresholds(cat_at=0.8, not_cat_below=0.1)
    assert [bands.verdict(score) for score in (0.8, 0.79, 0.1, 0.0999)] == [
        Verdict.CAT,
        Verdict.UNSURE,
        Verdict.UNSURE,
        Verdict.NOT_CAT,
    ]


def test_choose_returns_the_loosest_measured_point_within_the_rate() -> None:
    assert thresholds_for(profile(), 0.01, 0.01) == Thresholds(0.8, 0.1, 0.95)
    assert thresholds_for(profile(), 0.0199, 0.04) == Thresholds(0.8, 0.1, 0.95)
    assert thresholds_for(profile(), 0.5, 0.005) == Thresholds(0.3, 0.05, 0.3)


def test_unsure_band_is_empty_if_the_thresholds_would_cross() -> None:
    assert thresholds_for(profile(), 0.05, 0.05) == Thresholds(0.3, 0.3, 0.3)


def test_rate_stricter_than_any_measured_is_refused_with_the_measured_ones() -> None:
    with pytest.raises(ModelRefused, match=r"false positive rate of 0\.001.*0\.005, 0\.01, 0\.02, 0\.05"):
        thresholds_for(profile(), 0.001, 0.01)
    with pytest.raises(ModelRefused, match=r"false negative rate of 0\.001"):
        thresholds_for(profile(), 0.01, 0.001)


def test_head_for_other_features_is_refused() -> None:
    fitted = profile(Head(window=Linear(features=np.ones(4))))
    with pytest.raises(ModelRefused, match="takes 4 features, the model gives 8"):
        rule(fitted).decide(evidence(logits()))


def test_photo_gets_the_same_score_alone_and_in_a_batch() -> None:
    rng = np.random.default_rng(3)
    head = Head(Linear(0.1, 0.4, rng.normal(size=1280)), Linear(0.2, 0.3, rng.normal(size=1280)))
    logits, features = (rng.normal(size=(192, 5, size)).astype(np.float32) for size in (1000, 1280))
    photos = Evidence.of(Activations(logits, features), 64 * [Detail(soft=False, drawn=False)])
    together = head.scores(HOUSE_CAT, photos)
    alone = [float(head.scores(HOUSE_CAT, photos[i])) for i in range(64)]
    assert alone == pytest.approx(together.tolist(), rel=1e-12)


def test_extreme_logits_give_a_score_without_a_warning() -> None:
    sure = np.full(1000, -500, np.float32)
    sure[TABBY] = 500
    assert rule().decide(evidence(sure)).score == pytest.approx(1.0)
    sure[TABBY], sure[CUP] = -500, 500
    assert rule().decide(evidence(sure)).score == pytest.approx(0.0, abs=1e-9)
    assert softmax(sure).sum() == pytest.approx(1.0, rel=1e-4)


def test_profile_is_the_same_after_saving_and_loading(tmp_path: Path) -> None:
    made = profile(Head(Linear(0.25, 0.5, np.arange(FEATURES) / 4), Linear(0.125), 2.0, 1.5, 0.5))
    made.save(tmp_path / "own.json")
    again = load_profile(tmp_path / "own.json")
    assert again.profile_id == made.profile_id
    assert again.to_json() == made.to_json()
    assert again.head.whole.features is not None
    assert again.head.whole.features.tolist() == (np.arange(FEATURES) / 4).tolist()


def test_other_threshold_gives_another_profile_id() -> None:
    made = profile()
    moved = dataclasses.replace(made, cat=(point(0.01, 0.81),))
    assert made.profile_id.startswith("efficientnet_lite0-torch-fp32-house_cat-")
    assert made.profile_id != moved.profile_id


def test_first_folder_wins_then_the_newest_profile(tmp_path: Path) -> None:
    own, shipped = tmp_path / "own", tmp_path / "shipped"
    for folder in (own, shipped):
        folder.mkdir()
    old = profile()
    new = dataclasses.replace(old, made={"date": "2025-02-01"})
    old.save(own / "b.json")
    new.save(own / "a.json")
    dataclasses.replace(old, made={"date": "2026-01-01"}).save(shipped / "c.json")
    newest = find_profile(old.key, [own, shipped])
    assert newest is not None
    assert newest.made["date"] == "2025-02-01"
    assert find_profile(old.key, [tmp_path / "none"]) is None


@pytest.mark.parametrize(
    "other",
    [
        {"weights_sha256": "cd" * 32},
        {"preprocessing": "resized otherwise"},
        {"runtime": "openvino"},
        {"precision": "int8"},
        {"subject": SUBJECTS["feline"]},
        {"subject": Subject("house_cat", (281, 282))},
    ],
)
def test_profile_is_found_only_for_its_exact_key(tmp_path: Path, other: dict[str, object]) -> None:
    profile().save(tmp_path / "p.json")
    key = profile().key
    assert find_profile(key, [tmp_path]) is not None
    assert find_profile(dataclasses.replace(key, **other), [tmp_path]) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", ["{", "[]", '{"format": 99}', "cut", "head"])
def test_broken_profile_is_refused_and_not_ignored(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "p.json"
    profile().save(path)
    data = json.loads(path.read_text())
    if damage == "cut":
        del data["cat"]
    if damage == "head":
        data["head"]["whole"]["features_float32"] = "not base64!"
    path.write_text(json.dumps(data) if damage in ("cut", "head") else damage)
    with pytest.raises(ModelRefused, match=r"p\.json"):
        find_profile(profile().key, [tmp_path])


def test_rule_uses_the_profile_of_exactly_this_model(tmp_path: Path) -> None:
    profile().save(tmp_path / "p.json")
    key = ProfileKey.of(MODEL_INFO, PREPROCESSING, HOUSE_CAT)
    saved = find_profile(key, [tmp_path])
    assert saved is not None
    rule = ThresholdRule(HOUSE_CAT, class_names(), profile=saved, max_fpr=0.02, max_fnr=0.01)
    assert rule.profile_id == profile().profile_id
    assert rule.thresholds == Thresholds(0.6, 0.1, 0.9)
    others = (
        ProfileKey.of(dataclasses.replace(MODEL_INFO, weights_sha256="cd" * 32), PREPROCESSING, HOUSE_CAT),
        ProfileKey.of(dataclasses.replace(MODEL_INFO, precision="int8"), PREPROCESSING, HOUSE_CAT),
        ProfileKey.of(dataclasses.replace(MODEL_INFO, runtime="openvino"), PREPROCESSING, HOUSE_CAT),
    )
    assert [find_profile(other, [tmp_path]) for other in others] == [None, None, None]
    assert ThresholdRule(HOUSE_CAT, class_names()).profile_id == UNCALIBRATED
