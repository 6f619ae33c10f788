"""A running checker follows the model that administrators choose, and keeps the current one if it must."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from sqlalchemy import Engine

from catloader.checks import promotion
from catloader.checks.followed_model import FollowedModel
from catloader.checks.measured_profile import write_measured_profile
from catloader.checks.promotion import NothingToRollBack
from catloader.checks.runtime_request import runtime_request
from catloader.demo.client import until
from catloader.errors import StartupError
from catloader.settings import Settings
from catloader.store.db.checks.measured_profiles import MeasuredProfiles
from catloader.store.db.checks.model_choices import ModelChoices
from catloader.store.db.engine import utcnow
from catloader.store.db.staff.audit_log import AuditLog
from checker.decision.operating_point import SHIPPED_PROFILES, ThresholdRule
from checker.decision.profile import load_profile
from checker.decision.subject import load_subject
from checker.errors import ModelRefused
from checker.evaluation.decided import remeasured
from checker.pipeline import LoadedModel
from checker.runtimes.selection.loader import ModelLoader
from checker.service import CheckerService
from models.errors import WeightsMissing
from tests.support.fakes import FaultySource, RecordingQueue, StubClassifier, StubRule
from tests.support.locked_writes import locked_for
from tests.support.rows import some_user


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path, weights_dir=tmp_path / "weights", runtime="torch", precision="fp32", device="cpu"
    )


def _followed(engine: Engine, settings: Settings, choices: ModelChoices) -> FollowedModel:
    return FollowedModel(
        settings,
        choices,
        MeasuredProfiles(engine),
        lambda candidates: ModelLoader(
            candidates, lambda: load_subject("house_cat"), runtime_request(settings)
        ),
        poll_s=0.01,
    )


@pytest.mark.slow
def test_a_running_checker_loads_the_chosen_model_and_refuses_one_that_cannot_be_loaded(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    choices, administrator = ModelChoices(engine), some_user(engine)
    followed = _followed(engine, settings, choices)
    first = followed.load()
    assert first.classifier.model_info.model == "efficientnet_lite0"
    with pytest.raises(NothingToRollBack):
        promotion.roll_back(settings, choices, administrator.id, utcnow())

    promotion.promote(
        settings, choices, "resnet50", administrator.id, utcnow()
    )  # its weights are not on disk
    promotion_to = promotion.promote(settings, choices, "efficientnet_lite2", administrator.id, utcnow())
    assert promotion_to.previous == "resnet50"
    second = followed.next()
    assert second is not None
    assert second.classifier.model_info.model == "efficientnet_lite2"
    assert json.loads((tmp_path / "model.json").read_text())["current"] == "efficientnet_lite2"

    promotion.roll_back(settings, choices, administrator.id, utcnow())
    restarted = _followed(engine, settings, choices)
    third = restarted.load()
    assert third.classifier.model_info.model == "efficientnet_lite2", "resnet50 was to be refused"
    newest = choices.history(1)[0]
    assert (newest.model, newest.loaded_at) == ("resnet50", None)
    assert "resnet50 are not on disk" in str(newest.refusal)
    current = choices.current()
    assert current
    assert (current.model, current.actor) == ("efficientnet_lite2", administrator.email)
    assert [(entry.act, entry.target) for entry in AuditLog(engine).page(None, 9)] == [
        ("rolled back to model", "resnet50"),
        ("promoted model", "efficientnet_lite2"),
        ("promoted model", "resnet50"),
    ]
    for model in (first, second, third):
        model.classifier.close()
    for checker in (followed, restarted):
        checker.close()
        assert checker.next() is None


def test_a_model_that_is_chosen_again_while_it_checks_counts_as_loaded(
    engine: Engine, settings: Settings
) -> None:
    choices, followed = ModelChoices(engine), _followed(engine, settings, ModelChoices(engine))
    model = followed.load()
    promotion.promote(settings, choices, "efficientnet_lite2", None, utcnow())
    assert promotion.roll_back(settings, choices, None, utcnow()).current == "auto"
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(followed.next)
        try:
            for _ in until(60, "The choice was not marked as loaded"):
                if choices.history(1)[0].loaded_at is not None:
                    break
        finally:
            followed.close()
        assert following.result(60) is None, "the model was loaded twice"
    model.classifier.close()


def test_a_model_that_another_checker_has_loaded_is_not_refused_for_all_checkers(
    engine: Engine, settings: Settings
) -> None:
    choices = ModelChoices(engine)
    promotion.promote(settings, choices, "resnet50", None, utcnow(), is_loaded=True)
    with pytest.raises(WeightsMissing):
        _followed(engine, settings, choices).load()
    assert [choice.model for choice in choices.history(9)] == ["resnet50", "auto"]
    assert choices.history(1)[0].refusal is None


@pytest.mark.parametrize("previous", [None, "auto"])
def test_the_file_of_a_choice_is_read_as_it_was_written(settings: Settings, previous: str | None) -> None:
    """``previous`` is None after the only promotion was refused."""
    choice = promotion.Promotion("efficientnet_lite0", previous)
    promotion.keep(settings, choice)
    assert promotion.read_promotion(settings) == choice


def test_a_file_of_a_choice_that_cannot_be_opened_is_not_called_damaged(settings: Settings) -> None:
    (settings.data_dir / "model.json").mkdir(parents=True)
    with pytest.raises(StartupError, match=r"model\.json can't be read: Is a directory\.$"):
        promotion.read_promotion(settings)


def test_the_file_of_a_choice_matters_where_the_settings_and_the_database_name_no_model(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert (
        promotion.read_promotion(settings.with_changes(data_dir=tmp_path / "file")) == promotion.Promotion()
    )
    promotion.keep(settings, promotion.Promotion("resnet50", "auto"))
    overruled = [
        promotion.overruled(settings.with_changes(model=model)) for model in ("auto", "resnet50", "resnet18")
    ]
    assert overruled == [None, None, "resnet50"]
    with pytest.raises(WeightsMissing, match="The weights of the promoted model resnet50 are not on disk"):
        promotion.resolve_model(settings)
    with pytest.raises(WeightsMissing, match=r"^(?!.*promoted).*`catloader models fetch resnet50`"):
        promotion.resolve_model(settings.with_changes(model="resnet50"))


@pytest.mark.parametrize("_migrated", ["sqlite"], indirect=True)
def test_a_rollback_before_the_first_choice_of_the_database_is_that_of_the_file(
    engine: Engine, settings: Settings
) -> None:
    promotion.keep(settings, promotion.Promotion("efficientnet_lite2", "efficientnet_lite0"))
    assert promotion.rollback_target(settings, ModelChoices(engine)) == "efficientnet_lite0"
    promotion.promote(settings, ModelChoices(engine), "resnet50", None, utcnow())
    assert promotion.rollback_target(settings, ModelChoices(engine)) == "efficientnet_lite2"


def test_checkers_of_one_data_folder_can_write_its_files_at_the_same_time(settings: Settings) -> None:
    profile = load_profile(SHIPPED_PROFILES / "efficientnet_lite0-torch-fp32-house_cat.json").to_json()

    def write(number: int) -> None:
        promotion.keep(settings, promotion.Promotion(f"model {number % 3}", "auto"))
        made = {**profile["made"], "date": f"{number % 3}"}
        write_measured_profile(settings.data_dir / "profiles", {**profile, "made": made})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(80)))
    assert promotion.read_promotion(settings).current.startswith("model")
    names = sorted(path.name for path in settings.data_dir.rglob("*") if path.is_file())
    assert names == ["golden.jpg", "measured-on-decisions.json", "model.json"]


def test_a_profile_that_does_not_exist_need_not_be_removable(tmp_path: Path) -> None:
    """As on a read-only disk, where even the removal of a missing file is an error."""
    (tmp_path / "profiles").write_text("")
    write_measured_profile(tmp_path / "profiles", None)
    assert (tmp_path / "profiles").is_file()


def test_thresholds_that_can_not_be_written_are_applied_later(
    engine: Engine, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = load_profile(SHIPPED_PROFILES / "efficientnet_lite0-torch-fp32-house_cat.json")
    profiles, administrator, now = MeasuredProfiles(engine), some_user(engine), utcnow()
    followed = _followed(engine, settings, ModelChoices(engine))
    models: list[LoadedModel | None] = [followed.load()]
    id = profiles.begin(base.profile_id, administrator.id, now)
    assert id
    profiles.write(id, now, profile_id=base.profile_id, profile=base.to_json())
    (tmp_path / "profiles").write_text("")  # a file in the place of the folder: nothing can be written to it
    profiles.choose(id, "applied thresholds", administrator.id, now)
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(followed.next)
        try:
            for _ in until(60, "No round failed"):
                if caplog.messages:
                    break
            (tmp_path / "profiles").unlink()
            models.append(following.result(60))
        finally:
            followed.close()
    assert len(caplog.messages) == 1, "each round failed for the same reason"
    assert caplog.messages[0].startswith("can't write the profile of the chosen thresholds: ")
    for model in models:
        assert model
        model.classifier.close()


def test_a_model_named_in_the_settings_wins_over_every_choice(engine: Engine, settings: Settings) -> None:
    choices = ModelChoices(engine)
    promotion.promote(settings, choices, "efficientnet_lite2", None, utcnow())
    with_model = settings.with_changes(model="efficientnet_lite0")
    followed = _followed(engine, with_model, choices)
    model = followed.load()
    assert model.classifier.model_info.model == "efficientnet_lite0"
    assert promotion.current_name(with_model, choices) == "efficientnet_lite0"
    model.classifier.close()
    followed.close()


@pytest.mark.slow
def test_a_running_checker_adopts_measured_thresholds_and_returns_to_the_shipped_ones(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    base = load_profile(SHIPPED_PROFILES / "efficientnet_lite0-torch-fp32-house_cat.json")
    scores = np.concatenate([np.linspace(0.9, 0.999, 120), np.linspace(0.001, 0.8, 120)])
    profile = remeasured(base, scores, scores > 0.85, max_fpr=0.01, max_fnr=0.01, now=utcnow())
    profiles, administrator, now = MeasuredProfiles(engine), some_user(engine), utcnow()
    id = profiles.begin(base.profile_id, administrator.id, now)
    assert id
    profiles.write(id, now, profile_id=profile.profile_id, profile=profile.to_json())
    followed = _followed(engine, settings, ModelChoices(engine))
    models: list[LoadedModel | None] = [followed.load()]
    profiles.choose(id, "applied thresholds", administrator.id, now)
    models.append(followed.next())
    restarted = _followed(engine, settings, ModelChoices(engine))
    models.append(restarted.load())
    profiles.choose(None, "rolled back thresholds to", administrator.id, now)
    models.append(followed.next())
    ids = [model.rule.profile_id for model in models if model and isinstance(model.rule, ThresholdRule)]
    assert ids == [base.profile_id, profile.profile_id, profile.profile_id, base.profile_id]
    assert list((tmp_path / "profiles").glob("*.json")) == []
    for model in models:
        if model:
            model.classifier.close()
    for checker in (followed, restarted):
        checker.close()


_ON_SQLITE = pytest.mark.parametrize("_migrated", ["sqlite"], indirect=True)


def _with_stubs(engine: Engine, settings: Settings, errors: list[Exception]) -> FollowedModel:
    """Return a ``FollowedModel`` whose loaders raise these errors in turn and then load a stub."""

    class Loader:
        why_not_faster = ""

        def load(self) -> LoadedModel:
            if errors:
                raise errors.pop(0)
            return LoadedModel(StubClassifier(), StubRule())

        def next(self) -> None:
            return None

        def close(self) -> None:
            pass

    loader = cast("ModelLoader", Loader())
    profiles = MeasuredProfiles(engine)
    return FollowedModel(settings, ModelChoices(engine), profiles, lambda _: loader, poll_s=0.01)


@_ON_SQLITE
def test_a_failed_round_is_logged_and_later_choices_are_followed(
    engine: Engine, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = []
    followed = _with_stubs(engine, settings, errors)
    followed.load()
    promotion.promote(settings, ModelChoices(engine), "efficientnet_lite2", None, utcnow())
    errors += [ZeroDivisionError(), ZeroDivisionError()]
    assert followed.next()
    assert followed._name == "efficientnet_lite2"
    assert caplog.messages == ["the chosen model could not be looked for"]
    followed.close()


@_ON_SQLITE
def test_a_choice_does_not_wait_for_a_variant_that_is_being_made(engine: Engine, settings: Settings) -> None:
    made, late, loaders = threading.Event(), StubClassifier(), list[Any]()

    class MakingLoader:
        why_not_faster = ""

        def __init__(self) -> None:
            self.closed = False
            loaders.append(self)

        def load(self) -> LoadedModel:
            return LoadedModel(StubClassifier(), StubRule())

        def next(self) -> LoadedModel | None:
            return LoadedModel(late, StubRule()) if made.wait(60) else None

        def close(self) -> None:
            self.closed = True

    choices = ModelChoices(engine)
    followed = FollowedModel(
        settings,
        choices,
        MeasuredProfiles(engine),
        lambda _: cast("ModelLoader", MakingLoader()),
        poll_s=0.01,
    )
    first = followed.load()
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(followed.next)
        promotion.promote(settings, choices, "efficientnet_lite2", None, utcnow())
        try:
            second = following.result(10)
        finally:
            made.set()
    assert second is not None and second.classifier not in (first.classifier, late)
    assert [loader.closed for loader in loaders] == [True, True, False]
    for _ in until(10, "The variant of the former model stays in memory"):
        if late.closed:
            break
    followed.close()


@_ON_SQLITE
def test_a_checker_stops_if_only_this_one_can_not_load_the_choice(engine: Engine, settings: Settings) -> None:
    """Otherwise photos would get the verdicts of two models side by side."""
    errors: list[Exception] = []
    followed, choices = _with_stubs(engine, settings, errors), ModelChoices(engine)
    followed.load()
    promotion.promote(settings, choices, "efficientnet_lite2", None, utcnow(), is_loaded=True)
    errors += [WeightsMissing("no weights"), WeightsMissing("no weights")]
    with pytest.raises(ModelRefused, match="no weights"):
        followed.next()
    with pytest.raises(WeightsMissing):
        followed.load()
    assert followed.load()
    assert followed._name == "efficientnet_lite2"
    assert choices.history(1)[0].refusal is None


@_ON_SQLITE
def test_a_stopped_checker_does_not_return_to_its_former_model_while_the_database_is_unavailable(
    engine: Engine, settings: Settings
) -> None:
    errors: list[Exception] = []
    followed = _with_stubs(engine, settings, errors)
    followed.load()
    promotion.promote(settings, ModelChoices(engine), "efficientnet_lite2", None, utcnow(), is_loaded=True)
    errors.append(WeightsMissing("no weights"))
    with pytest.raises(ModelRefused, match="no weights"):
        followed.next()
    with locked_for(engine, "SELECT") as refused:
        assert followed.load()
    assert refused
    assert followed._name == "efficientnet_lite2"


@_ON_SQLITE
@pytest.mark.parametrize("at_start", [True, False])
def test_a_choice_that_another_checker_refuses_meanwhile_stops_no_checker(
    engine: Engine, settings: Settings, at_start: bool
) -> None:
    choices = ModelChoices(engine)

    class Loader:
        why_not_faster = ""

        def load(self) -> LoadedModel:
            if (choice := choices.current()) and choice.model == "efficientnet_lite2":
                choices.refuse(choice.id, "no weights on another machine")
                raise WeightsMissing("no weights here")
            return LoadedModel(StubClassifier(), StubRule())

        def next(self) -> None:
            return None

        def close(self) -> None:
            pass

    loader = cast("ModelLoader", Loader())
    followed = FollowedModel(settings, choices, MeasuredProfiles(engine), lambda _: loader, poll_s=0.01)
    if not at_start:
        followed.load()
    promotion.promote(settings, choices, "efficientnet_lite2", None, utcnow())
    assert (followed.load() is not None) if at_start else (followed._newly_chosen() is None)
    assert followed._name == "auto"
    assert choices.history(1)[0].refusal == "no weights on another machine"


@_ON_SQLITE
@pytest.mark.slow
def test_a_checker_that_could_not_load_its_model_checks_after_a_rollback(
    engine: Engine, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    choices = ModelChoices(engine)
    promotion.promote(settings, choices, "resnet50", None, utcnow(), is_loaded=True)  # on another machine
    followed, queue = _followed(engine, settings, choices), RecordingQueue()
    service = CheckerService(queue, FaultySource(), followed.load, successors=followed, sweep_s=0.05)
    service.start()
    for _ in until(60, "The model was not refused"):
        if service.state()["state"] == "refused":
            break
    assert "resnet50 are not on disk" in service.state()["reason"]
    promotion.roll_back(settings, choices, None, utcnow())
    assert service.ready.wait(60), "the rollback has no effect"
    assert service.state()["model"] == "efficientnet_lite0"
    promotion.roll_back(settings, choices, None, utcnow(), is_loaded=True)  # to resnet50
    for _ in until(60, "The checker does not stop, without its chosen model"):
        if service.state()["state"] == "refused":
            break
    promotion.roll_back(settings, choices, None, utcnow())
    for _ in until(60, "The second rollback has no effect"):
        if service.state()["state"] == "ready":
            break
    service.close(60)
    refusals = [text for text in caplog.messages if "no photo is checked until this is fixed" in text]
    assert len(refusals) == 2, "each refusal is logged once"


@_ON_SQLITE
def test_thresholds_with_which_the_model_cannot_check_do_not_change_the_model(
    engine: Engine, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    base = load_profile(SHIPPED_PROFILES / "efficientnet_lite0-torch-fp32-house_cat.json")
    profiles, administrator, now = MeasuredProfiles(engine), some_user(engine), utcnow()
    errors: list[Exception] = []
    followed = _with_stubs(engine, settings, errors)
    followed.load()
    id = profiles.begin(base.profile_id, administrator.id, now)
    assert id
    profiles.write(id, now, profile_id=base.profile_id, profile=base.to_json())
    profiles.choose(id, "applied thresholds", administrator.id, now)
    errors.append(ModelRefused("the self-test failed"))
    assert [followed._newly_chosen() for _ in range(2)] == [None] * 2
    assert caplog.messages == ["the model can't check with the chosen thresholds: the self-test failed"]


@_ON_SQLITE
def test_an_unavailable_database_keeps_the_model_of_the_data_folder(
    engine: Engine, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    followed = _with_stubs(engine, settings, [])
    promotion.keep(settings, promotion.Promotion("efficientnet_lite2"))
    with locked_for(engine, "SELECT") as refused, ThreadPoolExecutor(1) as pool:
        assert followed.load()
        assert followed._name == "efficientnet_lite2"
        following = pool.submit(followed.next)
        for _ in until(60, "The database is not asked again"):
            if len(refused) > 4:
                break
        followed.close()
        assert following.result(60) is None
    assert caplog.messages == [], "the queue logs the unavailable database, not the model"


@_ON_SQLITE
def test_a_loaded_choice_that_can_not_be_marked_checks(engine: Engine, settings: Settings) -> None:
    followed = _with_stubs(engine, settings, [])
    followed.load()
    promotion.promote(settings, ModelChoices(engine), "efficientnet_lite2", None, utcnow())
    with locked_for(engine, "UPDATE") as refused:
        assert followed._newly_chosen() is not None
    assert refused


@_ON_SQLITE
@pytest.mark.parametrize("at_start", [True, False])
def test_a_loaded_choice_checks_although_the_data_folder_can_not_be_written(
    engine: Engine, settings: Settings, caplog: pytest.LogCaptureFixture, at_start: bool
) -> None:
    followed = _with_stubs(engine, settings, [])
    if not at_start:
        followed.load()
    promotion.promote(settings, ModelChoices(engine), "efficientnet_lite2", None, utcnow())
    for name in ("model.json", "profiles/measured-on-decisions.json"):
        (settings.data_dir / name).mkdir(parents=True)  # a folder in the place of a file: it stays
    assert (followed.load() if at_start else followed._newly_chosen()) is not None
    assert followed._newly_chosen() is None
    assert caplog.messages == [
        "can't write the profile of the chosen thresholds: Is a directory",
        "can't write model.json with efficientnet_lite2: Is a directory",
    ]
    for name in ("model.json", "profiles/measured-on-decisions.json"):
        (settings.data_dir / name).rmdir()
    assert followed._newly_chosen() is None
    assert promotion.read_promotion(settings) == promotion.Promotion("efficientnet_lite2", "auto")
