"""Checks of files: in order, bounded, with the site's decision, and robust against hostile files."""

from __future__ import annotations

import io
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import skimage
from PIL import Image

from catloader.intake.prepare import Limits, prepare
from catloader.settings import Settings
from checker.folder import walk as folder_walk
from checker.folder.walk import DECODE_LIMITS, Checked, WalkedFile, check_files, walk
from checker.isolation.limits import Limits as DecodeLimits
from checker.pipeline import LoadedModel, check_batch
from checker.pixels.renditions import site_renditions
from checker.pixels.sizes import DEFAULT_SIZES
from checker.testing import InMemoryImageSource
from checker.values import Claim, Decision, Rendition
from tests.support.hostile import HostileCorpus

PHOTOS = Path(skimage.__file__).parent / "data"
DEFAULTS = Settings()
LIMITS = Limits(
    DEFAULTS.max_file_bytes,
    DEFAULTS.max_pixels,
    DEFAULTS.max_edge_px,
    DEFAULTS.thumbnail_px,
    DEFAULTS.jpeg_quality,
)


def _check(loaded: LoadedModel, *paths: Path | str) -> list[Checked]:
    return list(check_files(walk(map(str, paths)), loaded, workers=2, batch_photos=2))


def _error(checked: Checked) -> str | None:
    return checked.outcome.error if checked.outcome else checked.file.error


def test_a_folder_without_permission_is_reported(loaded: LoadedModel) -> None:
    with tempfile.TemporaryDirectory() as name:  # only their owner can open pytest's own folders
        _locked_folder(Path(name), loaded)


def _locked_folder(folder: Path, loaded: LoadedModel) -> None:
    (folder / "locked").mkdir(mode=0o000)
    (folder / "z.jpg").write_bytes((PHOTOS / "chelsea.png").read_bytes())
    as_root = os.geteuid() == 0
    if as_root:  # root could read the locked file
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
    assert [item.file for item in checked] == [locked, photo]
    assert checked[0].outcome is None
    assert checked[1].outcome is not None
    assert checked[1].outcome.decision is not None


@pytest.mark.timeout(20)
def test_special_files_never_block(tmp_path: Path, loaded: LoadedModel) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "text.jpg").write_text("not a photo")
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


@pytest.mark.slow
def test_the_number_of_files_being_checked_is_bounded(tmp_path: Path, loaded: LoadedModel) -> None:
    (tmp_path / "empty.jpg").touch()
    total, taken, checked, most_in_hand = 10_000, 0, 0, 0

    def many() -> Iterator[WalkedFile]:
        nonlocal taken
        for _ in range(total):
            taken += 1
            yield WalkedFile(str(tmp_path / "empty.jpg"))

    for _ in check_files(many(), loaded, workers=2, batch_photos=4):
        checked += 1
        most_in_hand = max(most_in_hand, taken - checked)
    assert checked == total
    assert most_in_hand <= 2 * folder_walk.BATCHES_AHEAD * 4


def test_closing_the_generator_early_ends_the_pool(loaded: LoadedModel) -> None:
    checks = check_files(
        (WalkedFile(str(PHOTOS / "coffee.png")) for _ in range(10**6)), loaded, workers=2, batch_photos=2
    )
    assert next(checks).outcome is not None
    checks.close()
    assert next(checks, None) is None


@pytest.mark.slow
def _grandchildren() -> set[psutil.Process]:
    return {child for server in psutil.Process().children() for child in server.children()}


@pytest.mark.slow
def test_the_limits_reach_the_children(tmp_path: Path, loaded: LoadedModel) -> None:
    photo, large = tmp_path / "photo.jpg", tmp_path / "large.png"
    Image.new("RGB", (90, 60), "red").save(photo)
    Image.new("RGB", (6000, 6000)).save(large, compress_level=1)  # takes 0.3 s and 100 MB to decode
    paths = [str(photo), str(large), str(photo)]
    others = _grandchildren()  # left by earlier tests
    checks = check_files(walk(paths[:1]), loaded, workers=1, batch_photos=1)
    next(checks)
    (child,) = (child for child in _grandchildren() - others if "checker.isolation.child" in child.cmdline())
    assert child.rlimit(psutil.RLIMIT_AS)[0] - child.memory_info().vms in range(
        DECODE_LIMITS.memory_bytes - 200 * 2**20, DECODE_LIMITS.memory_bytes + 200 * 2**20
    )
    checks.close()
    for limits in (DecodeLimits(cpu_s=0.1), DecodeLimits(memory_bytes=60 * 2**20)):
        checks = check_files(walk(paths), loaded, workers=1, batch_photos=3, limits=limits)
        errors = [_error(checked) for checked in checks]
        assert [bool(error) for error in errors] == [False, True, False], errors


def test_outcomes_are_in_the_order_of_the_files(tmp_path: Path, loaded: LoadedModel) -> None:
    names = [f"{number:02}.png" for number in range(14)]
    for number, name in enumerate(names):
        if number % 3:
            (tmp_path / name).write_bytes(b"broken")
        else:
            (tmp_path / name).symlink_to(PHOTOS / ("chelsea.png" if number % 2 else "retina.jpg"))
    checked = _check(loaded, tmp_path)
    assert [Path(item.file.path).name for item in checked] == names
    assert [_error(item) is None for item in checked] == [not number % 3 for number in range(14)]


def test_site_and_folder_tool_share_their_default_sizes() -> None:
    assert LIMITS.sizes == DEFAULT_SIZES


def _decide_both(path: Path, loaded: LoadedModel) -> tuple[Decision, Decision]:
    """Return the site's and the tool's decision on a file."""
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
    site, tool = _decide_both(PHOTOS / name, loaded)
    assert tool == site


@pytest.mark.parametrize(("suffix", "orientation"), [(".jpg", 6), (".jpg", 1), (".webp", 1), (".tiff", 1)])
def test_rotated_photos_and_other_formats_get_the_sites_decision_too(
    tmp_path: Path, loaded: LoadedModel, suffix: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(PHOTOS / "chelsea.png") as image:
        image.save(tmp_path / f"cat{suffix}", exif=exif)
    site, tool = _decide_both(tmp_path / f"cat{suffix}", loaded)
    assert tool == site


@pytest.mark.parametrize(("name", "size"), [("chelsea.png", (4510, 3000)), ("astronaut.png", (3000, 3000))])
def test_a_large_photo_gets_nearly_the_sites_score(
    tmp_path: Path, loaded: LoadedModel, name: str, size: tuple[int, int]
) -> None:
    with Image.open(PHOTOS / name) as image:
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(tmp_path / "large.jpg", quality=92)
    site, tool = _decide_both(tmp_path / "large.jpg", loaded)
    assert tool.verdict is site.verdict
    log_odds = [np.log(decision.score / (1 - decision.score)) for decision in (site, tool)]
    assert abs(log_odds[0] - log_odds[1]) < 0.3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Pillow warns about malformed metadata
def test_hostile_files_are_unreadable_and_never_crash_the_checker(
    tmp_path: Path, hostile_corpus: HostileCorpus, loaded: LoadedModel
) -> None:
    files = [file for file in hostile_corpus.files if file.category != "heavy-valid"][::4]
    paths = [tmp_path / f"{number}-{file.name}" for number, file in enumerate(files)]
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(file.data)
    checked = _check(loaded, *paths)
    assert [item.file.path for item in checked] == [str(path) for path in paths]
    unreadable = ("truncated", "not-an-image", "magic-only")
    for file, item in zip(files, checked, strict=True):
        if file.category in unreadable:
            assert _error(item) is not None, file.name
    assert not [item for item in checked if _error(item) and not (item.outcome and item.outcome.unreadable)]


@pytest.mark.slow
def test_a_large_transparent_photo_is_composed_on_white() -> None:
    """It is reduced first, and must look as if it had been reduced last."""
    alpha = Image.linear_gradient("L").resize((2000, 2000))
    photo = Image.merge("RGBA", [*Image.effect_noise((2000, 2000), 60).convert("RGB").split(), alpha])
    on_white = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo).convert("RGB")
    both = []
    for image in (photo, on_white):
        file = io.BytesIO()
        image.save(file, "PNG", compress_level=1)
        pixels = Image.open(io.BytesIO(site_renditions(file.getvalue())[Rendition.PHOTO]))
        both.append(np.asarray(pixels).astype(int))
    assert both[0].shape == both[1].shape
    assert np.abs(both[0] - both[1]).mean() < 1.5
