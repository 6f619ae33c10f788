"""The page of models: the model in use with its rates, promotion, rollback and comparisons."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from markupsafe import escape
from sqlalchemy import Engine

from catloader.demo.client import until
from catloader.store.db.checks.model_choices import ShadowReport
from catloader.store.db.engine import make_engine, utcnow
from catloader.store.db.migrate import migrate
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from checker.decision.operating_point import SHIPPED_PROFILES, thresholds_for
from checker.decision.profile import load_profile
from checker.decision.rates import rates_within
from checker.errors import ModelRefused
from checker.values import Verdict
from tests.support.site import Person, acts_of_staff, check, running_site, services_of


def test_the_page_shows_the_rates_of_the_profile_that_decided_last(app: Flask, administrator: Person) -> None:
    page = administrator.get("/admin/models").text
    assert "No photo has been decided yet." in page
    assert "Not measured, so verdicts would be marked as uncalibrated: efficientnet_lite2." in page
    administrator.upload_one()
    check(app, Verdict.CAT)
    page = administrator.get("/admin/models").text
    assert "torch fp32 on cpu" in page
    assert "This variant was not measured" in page
    profile = load_profile(SHIPPED_PROFILES / "efficientnet_lite0-torch-fp32-house_cat.json")
    administrator.upload_one()
    check(app, Verdict.CAT, profile_id=profile.profile_id)
    page = administrator.get("/admin/models").text
    rates, thresholds = rates_within(profile, 0.01), thresholds_for(profile, 0.01, 0.01)
    assert profile.profile_id in page
    assert f"{thresholds.soft_cat_at:.3f}" in page
    assert "soft picture" in rates.kinds
    shares = [rates.recall, *rates.kinds.values()]
    assert re.findall(r'<td class="figure">([0-9.]+) %</td>', page) == [
        f"{100 * one.rate:.1f}" for one in shares
    ]


def test_the_page_distinguishes_the_loaded_model_from_the_model_of_the_last_decision(
    engine: Engine,
    s3_server: EmbeddedS3,
    objects: ObjectStore,
    app: Flask,
    *,
    administrator: Person,
    tmp_path: Path,
) -> None:
    administrator.upload_one()
    check(app, Verdict.CAT)
    assert "The checker of this process uses" not in administrator.get("/admin/models").text
    settings = {"model": "efficientnet_lite0", "dispatch": "thread"}
    with running_site(engine, s3_server, objects, tmp_path, **settings) as newer:
        checker = services_of(newer).checker
        assert checker
        checker.start()
        assert checker.ready.wait(120)
        state = checker.state()
        other = Person(newer, "second@example.org")
        services_of(newer).users.grant(other.id, "admin")
        page = other.get("/admin/models").text
        used = f"{state['model']} ({state['runtime']} {state['precision']})"
        assert f"The checker of this process uses {used}. The latest decision was made with another" in page
        assert "torch fp32 on cpu" in page


def test_english_reasons_on_a_translated_page_are_marked_as_english(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    german = {"Accept-Language": "de"}
    # The weights of vit_b_16 are not on this machine.
    with running_site(engine, s3_server, objects, tmp_path, model="vit_b_16", dispatch="thread") as app:
        administrator, services = Person(app, "boss@example.org"), services_of(app)
        services.users.grant(administrator.id, "admin")
        assert services.checker
        page = administrator.get("/admin/models", **german).text
        assert "Das Prüfprogramm dieses Prozesses lädt das Modell." in page
        with pytest.raises(ModelRefused):
            services.checker.drain()
        choices = services.model_choices
        choices.choose("vit_b_32", "auto", "promoted model", administrator.id, utcnow(), is_loaded=False)
        assert choices.refuse(choices.history(1)[0].id, "No such file.")
        page = administrator.get("/admin/models", **german).text
        reason = services.checker.state()["reason"]
        used = "Das Prüfprogramm dieses Prozesses kann das Modell nicht verwenden:"
        assert f'{used} <span lang="en">{escape(reason)}</span>' in page
        assert 'Abgelehnt: <span lang="en">No such file.</span>' in page
        services.checker.close()
        assert (
            "Das Prüfprogramm dieses Prozesses hält an." in administrator.get("/admin/models", **german).text
        )


def test_promotion_and_rollback_of_a_model_are_recorded(app: Flask, administrator: Person) -> None:
    path = "/admin/models"
    assert administrator.post(f"{path}/rollback", page=path).status_code == 400
    for name in ("resnet50", ""):
        assert administrator.post(f"{path}/promote", {"model": name}, page=path).status_code == 400
    administrator.post(f"{path}/promote", {"model": "efficientnet_lite2"}, page=path)
    page = administrator.get(path).text
    assert "Chosen: <b>efficientnet_lite2</b>" in page
    assert "No checker has loaded it yet" in page
    assert "Roll back to auto" in page
    administrator.post(f"{path}/rollback", page=path)
    assert "Roll back to efficientnet_lite2" in administrator.get(path).text
    for name in ("efficientnet_lite0", "efficientnet_lite2", "auto"):
        administrator.post(f"{path}/promote", {"model": name}, page=path)
    assert "Chosen: <b>auto</b>" in administrator.get(path).text
    assert [(entry.act, entry.target) for entry in acts_of_staff(app)] == [
        ("promoted model", "auto"),
        ("promoted model", "efficientnet_lite2"),
        ("promoted model", "efficientnet_lite0"),
        ("rolled back to model", "auto"),
        ("promoted model", "efficientnet_lite2"),
    ]


def test_each_model_but_the_one_in_use_can_be_compared_with_it(app: Flask, administrator: Person) -> None:
    administrator.upload_one()
    check(app, Verdict.CAT)  # decided by efficientnet_lite0
    path = "/admin/models"

    def candidates() -> list[str]:
        _, _, form = administrator.get(path).text.partition('<select id="candidate"')
        return re.findall(r'<option value="(\w+)">', form)

    assert candidates() == ["efficientnet_lite2"]
    administrator.post(f"{path}/promote", {"model": "efficientnet_lite2"}, page=path)
    assert candidates() == ["efficientnet_lite0"]


def test_the_result_of_a_shadow_run_is_shown(app: Flask, administrator: Person) -> None:
    counts = dict.fromkeys(("compared", "away", "become_wrong", "become_right", "unreadable"), 0)
    report = ShadowReport(
        utcnow(),
        "efficientnet_lite0",
        "resnet50",
        {**counts, "compared": 40, "towards_cat": 1},
        {"not_cat -> cat": 1},
        [(7, "not_cat", 0.01, "cat", 0.99, None)],
    )
    for _ in range(22):
        services_of(app).model_choices.add_report(report)
    page = administrator.get("/admin/models").text
    assert "Photos compared: 40. Moved towards cat: 1; away from it: 0." in page
    assert "<li>No cat → Cat <span" in page
    assert "<td>7</td><td>No cat 0.010</td><td>Cat 0.990</td><td>–</td>" in page


def _ended(administrator: Person) -> str:
    for _ in until(120, "The comparison did not end"):
        page = administrator.get("/admin/models").text
        if "is being compared" not in page:
            return page
    raise AssertionError


def test_a_model_is_compared_in_the_background(
    s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    engine = make_engine(tmp_path / "test.sqlite3")
    migrate(engine)
    with running_site(engine, s3_server, objects, tmp_path, model="efficientnet_lite0") as app:
        administrator = Person(app, "boss@example.org")
        services_of(app).users.grant(administrator.id, "admin")
        administrator.upload_one()
        check(app, Verdict.CAT)
        path = "/admin/models"
        for act in ("promote", "rollback"):
            refused = administrator.post(f"{path}/{act}", {"model": "efficientnet_lite0"}, page=path)
            assert (refused.status_code, "CATCHECK_MODEL=efficientnet_lite0 is set" in refused.text) == (
                400,
                True,
            )
        assert (
            administrator.post(f"{path}/shadow", {"model": "efficientnet_lite2"}, page=path).status_code
            == 303
        )
        assert "efficientnet_lite2 is being compared." in administrator.get(path).text
        again = administrator.post(f"{path}/shadow", {"model": "efficientnet_lite2"}, page="/account")
        assert "A comparison is already running." in administrator.get(again.location).text
        page = _ended(administrator)
        report = services_of(app).model_choices.latest_report()
        assert report, page
        assert (report.current, report.candidate) == ("efficientnet_lite0", "efficientnet_lite2")
        assert "Photos compared: 1." in page
        assert [entry.act for entry in acts_of_staff(app)] == ["compared model"]
        assert administrator.photos[0].status == "cat"
    engine.dispose()


def test_a_failed_comparison_shows_the_reason(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    with running_site(
        engine, s3_server, objects, tmp_path, model="vit_b_16"
    ) as app:  # its weights are not on this machine
        administrator = Person(app, "boss@example.org")
        services_of(app).users.grant(administrator.id, "admin")
        path = "/admin/models"
        assert administrator.post(f"{path}/shadow", {"model": "vit_b_16"}, page=path).status_code == 400
        administrator.post(f"{path}/shadow", {"model": "efficientnet_lite2"}, page=path)
        page = _ended(administrator)
        assert "efficientnet_lite2 could not be compared:" in page
        assert "vit_b_16" in page.partition("could not be compared:")[2][:200]
        run = services_of(app).shadow_runs.latest()
        assert run and run.error and not run.error.startswith("Error")
