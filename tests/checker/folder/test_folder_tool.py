"""The folder tool's parts: what it finds, how it reads, what it holds in hand, how it tells."""

from __future__ import annotations

import csv
import gc
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from catloader.intake.prepare import Limits, prepare
from catloader.settings import Settings
from checker.decision.operating_point import ThresholdRule
from checker.decision.subject import load_subject
from checker.errors import UnreadableImage
from checker.evaluation.photos import WILD_FELINE
from checker.folder import report
from checker.folder import walk as folder_walk
from checker.folder.arguments import parse
from checker.folder.walk import Checked, Found, at_most, check_files, read, walk
from checker.pipeline import LoadedModel, check_batch
from checker.pixels.renditions import site_renditions
from checker.pixels.sizes import DEFAULT_SIZES
from checker.runtimes.load import load_classifier
from checker.testing import InMemoryImageSource
from checker.values import Claim, Decision, Rendition, Verdict
from models.catalogue import class_names, resolve
from tests.support.hostile import HostileCorpus
from tests.support.photo_sets import OWN_PHOTOS, PhotoSet

PICTURES = Path(skimage.__file__).parent / "data"
DEFAULTS = Settings()
LIMITS = Limits(
    DEFAULTS.max_file_bytes,
    DEFAULTS.max_pixels,
    DEFAULTS.max_edge_px,
    DEFAULTS.thumbnail_px,
    DEFAULTS.jpeg_quality,
)


@pytest.fixture(scope="module")
def rule() -> ThresholdRule:
    return ThresholdRule(load_subject("house_cat"), class_names())


@pytest.fixture(scope="module")
def loaded(rule: ThresholdRule) -> Iterator[LoadedModel]:
    classifier = load_classifier(*resolve("efficientnet_lite0", Path("models/weights")), device="cpu")
    yield LoadedModel(classifier, rule)
    classifier.close()


def _found(*paths: Path | str) -> list[str]:
    return [found.path for found in walk(map(str, paths)) if found.error is None]


def _check(loaded: LoadedModel, *paths: Path | str) -> list[Checked]:
    return list(check_files(walk(map(str, paths)), loaded, workers=2, batch_photos=2))


def _error(checked: Checked) -> str | None:
    return checked.outcome.error if checked.outcome else checked.found.error


def test_a_folder_gives_its_pictures_by_name_and_a_named_file_itself(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/2.png", "a/1.heic", "notes.txt", ".hidden.jpg", ".cache/x.jpg", "c.jpg/d.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    inside = [str(tmp_path / name) for name in ("a/1.heic", "a/2.png", "b.JPG", "c.jpg/d.webp")]
    assert _found(tmp_path) == inside
    named = [tmp_path / "notes.txt", tmp_path / ".hidden.jpg"]
    assert _found(*named, tmp_path / ".cache") == [*map(str, named), str(tmp_path / ".cache/x.jpg")]


def test_links_never_lead_in_circles(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.jpg").touch()
    (tmp_path / "a/up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "me.jpg").symlink_to("me.jpg")
    (tmp_path / "b.jpg").symlink_to("a/1.jpg")
    assert _found(tmp_path) == [str(tmp_path / name) for name in ("a/1.jpg", "b.jpg", "me.jpg")]
    assert _found(tmp_path / "a/up") == [
        str(tmp_path / "a/up" / name) for name in ("a/1.jpg", "b.jpg", "me.jpg")
    ]


def test_a_tree_deeper_than_pythons_stack(tmp_path: Path) -> None:
    depth = sys.getrecursionlimit() + 100
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(depth):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("cat.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    finally:
        os.close(here)
    try:
        assert _found(tmp_path) == [str(tmp_path) + "/d" * depth + "/cat.jpg"]
    finally:
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # shutil.rmtree recurses, and fails


def test_a_folder_that_may_not_be_looked_into_is_told(loaded: LoadedModel) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to all but their owner
        _locked_folder(Path(name), loaded)


def _locked_folder(folder: Path, loaded: LoadedModel) -> None:
    (folder / "locked").mkdir(mode=0o000)
    (folder / "z.jpg").write_bytes((PICTURES / "chelsea.png").read_bytes())
    as_root = os.geteuid() == 0
    if as_root:  # nothing is locked for root
        folder.chmod(0o755)
        os.seteuid(65534)
    try:
        locked, photo = list(walk([str(folder)]))
    finally:
        if as_root:
            os.seteuid(0)
        (folder / "locked").chmod(0o700)
    assert locked.path == str(folder / "locked")
    assert locked.error == "The folder can't be read: Permission denied."
    checked = list(check_files([locked, photo], loaded, workers=1, batch_photos=4))
    assert [item.found for item in checked] == [locked, photo]
    assert checked[0].outcome is None
    assert checked[1].outcome is not None
    assert checked[1].outcome.decision is not None


def test_the_listing_of_a_large_folder_is_not_kept(tmp_path: Path) -> None:
    for number in range(20_000):
        os.close(os.open(tmp_path / f"{number}.jpg", os.O_CREAT | os.O_WRONLY))
    gc.collect()
    tracemalloc.start()
    try:
        assert sum(1 for _ in walk([str(tmp_path)])) == 20_000
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 * 2**20  # all of them would take 10


@pytest.mark.timeout(20)
def test_what_is_no_ordinary_file_is_never_waited_for(tmp_path: Path, loaded: LoadedModel) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "text.jpg").write_text("no picture")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.jpg"))
        names = ("empty.jpg", "gone.jpg", "pipe.jpg", "socket.jpg", "text.jpg")
        checked = _check(loaded, *(tmp_path / name for name in names), "/dev/zero", tmp_path / "vanished.jpg")
        assert [_error(item) for item in _check(loaded, tmp_path)] == [_error(item) for item in checked[:5]]
    assert [_error(item) for item in checked] == [
        "The file is empty.",
        "The file can't be read: No such file or directory.",
        "This is not a regular file.",
        "This is not a regular file.",
        "This is not a photo, or not in a format that can be decoded.",
        "This is not a regular file.",
        "The file can't be read: No such file or directory.",
    ]
    assert all(item.outcome and item.outcome.unreadable for item in checked)


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(folder_walk.MAX_BYTES + 1)
    with pytest.raises(UnreadableImage, match="larger than 256 MB"):
        read(tmp_path / "huge.jpg")


def test_however_many_files_only_a_bounded_number_is_in_hand(tmp_path: Path, loaded: LoadedModel) -> None:
    (tmp_path / "empty.jpg").touch()
    total, taken, told, most = 10_000, 0, 0, 0

    def endless() -> Iterator[Found]:
        nonlocal taken
        for _ in range(total):
            taken += 1
            yield Found(str(tmp_path / "empty.jpg"))

    for _ in check_files(endless(), loaded, workers=2, batch_photos=4):
        told += 1
        most = max(most, taken - told)
    assert told == total
    assert most <= 2 * folder_walk.BATCHES_AHEAD * 4


def test_closing_early_ends_the_pool(loaded: LoadedModel) -> None:
    checks = check_files(
        (Found(str(PICTURES / "coffee.png")) for _ in range(10**6)), loaded, workers=2, batch_photos=2
    )
    assert next(checks).outcome is not None
    checks.close()
    assert next(checks, None) is None


def test_outcomes_come_in_the_order_of_the_files(tmp_path: Path, loaded: LoadedModel) -> None:
    names = [f"{number:02}.png" for number in range(14)]
    for number, name in enumerate(names):
        if number % 3:
            (tmp_path / name).write_bytes(b"broken")
        else:
            (tmp_path / name).symlink_to(PICTURES / ("chelsea.png" if number % 2 else "retina.jpg"))
    checked = _check(loaded, tmp_path)
    assert [Path(item.found.path).name for item in checked] == names
    assert [_error(item) is None for item in checked] == [not number % 3 for number in range(14)]


def test_site_and_folder_tool_share_their_default_sizes() -> None:
    assert LIMITS.sizes == DEFAULT_SIZES


def _both(path: Path, loaded: LoadedModel) -> tuple[Decision, Decision]:
    """The site's decision, and the tool's."""
    claim = Claim(1, "", str(path), "", 1)
    prepared, uploaded = prepare(path.read_bytes(), limits=LIMITS), InMemoryImageSource()
    uploaded.put(claim, {Rendition.PHOTO: prepared.photo, Rendition.THUMBNAIL: prepared.thumbnail})
    (site,) = check_batch([claim], uploaded, loaded.classifier, loaded.rule)
    (tool,) = _check(loaded, path)
    assert site.decision is not None
    assert tool.outcome is not None
    assert tool.outcome.decision is not None
    return site.decision, tool.outcome.decision


@pytest.mark.parametrize(
    "name", ["chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg", "camera.png", "logo.png"]
)
def test_a_photo_gets_exactly_the_sites_decision(name: str, loaded: LoadedModel) -> None:
    site, tool = _both(PICTURES / name, loaded)
    assert tool == site


@pytest.mark.parametrize(("suffix", "turn"), [(".jpg", 6), (".jpg", 1), (".webp", 1), (".tiff", 1)])
def test_so_does_a_turned_one_and_one_of_another_kind(
    tmp_path: Path, loaded: LoadedModel, suffix: str, turn: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    with Image.open(PICTURES / "chelsea.png") as picture:
        picture.save(tmp_path / f"cat{suffix}", exif=exif)
    site, tool = _both(tmp_path / f"cat{suffix}", loaded)
    assert tool == site


@pytest.mark.parametrize(("name", "size"), [("chelsea.png", (4510, 3000)), ("astronaut.png", (3000, 3000))])
def test_a_large_photo_gets_nearly_the_sites_score(
    tmp_path: Path, loaded: LoadedModel, name: str, size: tuple[int, int]
) -> None:
    with Image.open(PICTURES / name) as picture:
        picture.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(tmp_path / "large.jpg", quality=92)
    site, tool = _both(tmp_path / "large.jpg", loaded)
    assert tool.verdict is site.verdict
    log_odds = [np.log(decision.score / (1 - decision.score)) for decision in (site, tool)]
    assert abs(log_odds[0] - log_odds[1]) < 0.3


@pytest.mark.filterwarnings("ignore")  # Pillow's remarks on odd metadata: no errors but in tests
def test_hostile_files_are_rows_like_others(
    tmp_path: Path, hostile_corpus: HostileCorpus, loaded: LoadedModel
) -> None:
    files = [file for file in hostile_corpus.files if file.category != "heavy-valid"][::4]
    paths = [tmp_path / f"{number}-{file.name}" for number, file in enumerate(files)]
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(file.data)
    checked = _check(loaded, *paths)
    assert [item.found.path for item in checked] == [str(path) for path in paths]
    unreadable = ("truncated", "not-an-image", "magic-only")
    for file, item in zip(files, checked, strict=True):
        if file.category in unreadable:
            assert _error(item) is not None, file.name
    # Whatever has no verdict is the file's own fault, and said so: none of them breaks the checker.
    assert not [item for item in checked if _error(item) and not (item.outcome and item.outcome.unreadable)]


def _rows(loaded: LoadedModel, rule: ThresholdRule, *paths: Path | str) -> list[report.Row]:
    return [report.row(item, loaded.classifier.model_info, rule) for item in _check(loaded, *paths)]


def test_the_fields_of_a_row(tmp_path: Path, loaded: LoadedModel, rule: ThresholdRule) -> None:
    (tmp_path / "broken.jpg").write_text("no picture")
    cat, broken = _rows(loaded, rule, PICTURES / "chelsea.png", tmp_path / "broken.jpg")
    assert set(cat) == set(broken) == {
        "path", "verdict", "score", "subject", "wild_feline", "calibrated", "profile", "model", "runtime",
        "precision", "device", "labels", "ms", "error",
    }  # fmt: skip
    assert (cat["verdict"], cat["error"], cat["subject"]) == ("cat", None, "house_cat")
    assert (cat["calibrated"], cat["profile"]) == (False, "uncalibrated")
    assert (cat["model"], cat["runtime"], cat["precision"], cat["device"]) == (
        "efficientnet_lite0",
        "torch",
        "fp32",
        "cpu",
    )
    assert 0.5 < cat["score"] <= 1
    assert cat["ms"] > 0
    confidences = [label["confidence"] for label in cat["labels"]]
    assert len(confidences) == 5
    assert confidences == sorted(confidences, reverse=True)
    assert "cat" in cat["labels"][0]["name"]
    assert (broken["verdict"], broken["score"], broken["labels"]) == ("unreadable", None, [])
    assert broken["error"]


def test_names_of_any_bytes_stay_one_valid_line(
    tmp_path: Path, loaded: LoadedModel, rule: ThresholdRule
) -> None:
    names = [b"new\nline.jpg", b"latin\xe9.jpg", 'snow ☃, "q".jpg'.encode(), b"\x1b[31mred.jpg", b"tab\t.jpg"]
    for name in names:
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).touch()
    rows = _rows(loaded, rule, tmp_path)
    assert len(rows) == len(names)
    lines = [report.json_line(row).encode("utf-8") for row in rows]  # strictly: no surrogates
    read_back = [json.loads(line) for line in lines]
    assert all(line.count(b"\n") == 1 for line in lines)
    shown = {Path(row["path"]).name for row in read_back}
    assert shown == {"new\nline.jpg", "latin\ufffd.jpg", 'snow ☃, "q".jpg', "\x1b[31mred.jpg", "tab\t.jpg"}
    (odd,) = [row for row in read_back if "path_base64" in row]
    assert odd["path"].endswith("latin\ufffd.jpg")
    table = "".join(report.csv_line(row) for row in rows)
    assert {Path(row[0]).name for row in csv.reader(io.StringIO(table))} == shown
    for row in rows:
        line = report.table_line(row)
        assert line.endswith("\n")
        assert line[:-1].isprintable()


def test_table_and_csv_say_what_is_wild_and_what_is_uncalibrated(
    loaded: LoadedModel, rule: ThresholdRule, photo_set: PhotoSet
) -> None:
    wild = [*OWN_PHOTOS.files(WILD_FELINE), *photo_set.files(WILD_FELINE)]
    rows = _rows(loaded, rule, *wild)
    felines = [row for row in rows if row["wild_feline"]]
    assert len(felines) > len(wild) // 2
    assert not any(row["verdict"] == "cat" for row in felines)
    assert all("wild feline: " in report.table_line(row) for row in felines)
    (line,) = csv.DictReader(io.StringIO(report.csv_header() + report.csv_line(felines[0])))
    assert (line["wild_feline"], line["calibrated"], line["profile"]) == ("True", "False", "uncalibrated")
    assert "uncalibrated" in report.table_header(loaded.classifier.model_info, rule)
    assert "uncalibrated" in report.summary(Counter({"cat": 2}), 1.0, rule)


def test_the_summary_counts(rule: ThresholdRule) -> None:
    counts = Counter({"unreadable": 1, "cat": 2})
    assert (
        report.summary(counts, 1.5, rule)
        == "3 files: 2 cat, 1 unreadable (uncalibrated); 1.5 s, 2 a second\n"
    )
    assert report.summary(Counter(), 1.5, rule) == "No pictures found.\n"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "required: PATH"),
        (["--json", "--csv", "x"], "not allowed with"),
        (["--js", "x"], "unrecognized arguments: --js"),
        (["--max-false-positive-rate", "0", "x"], "0 is no number between 0.0001 and 0.5"),
        (["--max-false-positive-rate", "abc", "x"], "abc is no number between 0.0001 and 0.5"),
        (["--max-false-negative-rate", "nan", "x"], "nan is no number between 0.0001 and 0.5"),
        (["--device", "tpu", "x"], "invalid choice: 'tpu'"),
        (["--workers", "-1", "x"], "-1 is no whole number between 0 and 256"),
        (["--workers", "x", "x"], "x is no whole number between 0 and 256"),
        (["--profiles", "/nowhere", "x"], "there is no folder /nowhere"),
        (["explain", "x"], "required: -o"),
        (["explain", "x", "-o", "x.jpg"], "x.jpg does not end in .png"),
        (["explain", "x", "-o", "/nowhere/x.png"], "there is no folder /nowhere"),
    ],
)
def test_wrong_arguments(arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(arguments)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "usage: python -m checker" in said
    assert why in said


def test_a_found_dog_is_called_no_cat(rule: ThresholdRule) -> None:
    assert [report.worded(verdict, "house_cat") for verdict in Verdict] == list(Verdict)
    said = [report.worded(verdict, "dog") for verdict in Verdict]
    assert said == ["dog", "unsure", "not_dog", "unreadable"]
    dogs = ThresholdRule(load_subject("dog"), class_names())
    assert report.summary(Counter({"cat": 2, "not_cat": 1}), 1, dogs).startswith(
        "3 files: 2 dog, 1 not_dog ("
    )


def test_a_file_that_has_nothing_to_read_yet_is_empty() -> None:
    """As ``/proc/kmsg`` is at times; a pipe that must not wait always behaves so."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb") as file, os.fdopen(writing, "wb"):
        assert at_most(file, 10) == b""


def test_an_empty_file_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UnreadableImage, match="The file is empty"):
        read(tmp_path / "empty.jpg")


def test_a_large_transparent_picture_lies_on_white() -> None:
    """It is reduced before that, and must look as if it had been after it."""
    shown = Image.linear_gradient("L").resize((2000, 2000))
    picture = Image.merge("RGBA", [*Image.effect_noise((2000, 2000), 60).convert("RGB").split(), shown])
    on_white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    both = []
    for image in (picture, on_white):
        file = io.BytesIO()
        image.save(file, "PNG", compress_level=1)
        pixels = Image.open(io.BytesIO(site_renditions(file.getvalue())[Rendition.PHOTO]))
        both.append(np.asarray(pixels).astype(int))
    assert both[0].shape == both[1].shape
    assert np.abs(both[0] - both[1]).mean() < 1.5
