"""``python -m checker`` like users run it: a process with arguments, streams, signals and an exit code."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
from PIL import Image

from tests.support.photo_sets import OWN_PHOTOS
from tests.support.processor import served_variants

PHOTOS = Path(skimage.__file__).parent / "data"
ROOT = Path(__file__).resolve().parents[2]
CAT, COFFEE = str(PHOTOS / "chelsea.png"), str(PHOTOS / "coffee.png")
LITE = ("--model", "efficientnet_lite0", "--device", "cpu")


def _run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    options = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 120, **options}
    return subprocess.run([sys.executable, "-m", "checker", *arguments], check=False, **options)


def _start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "checker", *arguments],
        **{"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options},
    )


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with more photos than a test can wait for. Tests must not write to it."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(3000):
        (folder / f"{number:04}.png").symlink_to(CAT)
    return folder


def test_json_is_utf_8_in_any_locale(tmp_path: Path) -> None:
    (tmp_path / "chat-é.png").symlink_to(CAT)
    done = _run(
        "--json",
        *LITE,
        CAT,
        COFFEE,
        str(tmp_path),
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["verdict"] for row in rows] == ["cat", "not_cat", "cat"]
    assert [row["path"] for row in rows] == [CAT, COFFEE, str(tmp_path / "chat-é.png")]
    assert rows[0]["score"] == rows[2]["score"]
    assert done.stderr.startswith("3 files: 2 cat, 1 not_cat")


def test_table_and_csv_list_verdicts_and_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(CAT)
    (tmp_path / "b.jpg").write_text("not a photo")
    (tmp_path / "notes.txt").touch()
    table = _run(*LITE, str(tmp_path))
    assert table.returncode == 1
    comment, header, *lines = table.stdout.splitlines()
    heads = [f"# efficientnet_lite0, {' '.join(served)} on cpu; " for served in served_variants()]
    assert comment.startswith(tuple(heads))
    assert "; subject house_cat, efficientnet_lite0-" in comment
    assert header.split() == ["VERDICT", "SCORE", "LOOKS", "LIKE", "PATH"]
    assert [line.split()[0] for line in lines] == ["cat", "unreadable"]
    assert lines[1].endswith("b.jpg: This is not a photo, or not in a format that can be decoded.")
    assert "\x1b" not in table.stdout + table.stderr, "colours and progress are for terminals"
    assert table.stderr.endswith("\nSkipped: 1 file that is not a photo (1 .txt)\n")

    listed = _run("--csv", *LITE, str(tmp_path))
    assert listed.returncode == 1
    rows = list(csv.DictReader(io.StringIO(listed.stdout)))
    assert [(Path(row["path"]).name, row["verdict"]) for row in rows] == [
        ("a.png", "cat"),
        ("b.jpg", "unreadable"),
    ]


def test_a_subject_file_replaces_the_house_cat(tmp_path: Path) -> None:
    (tmp_path / "coffee.toml").write_text('classes = ["espresso", "cup", "coffee mug"]\n')
    done = _run("--json", *LITE, "--subject", str(tmp_path / "coffee.toml"), COFFEE, CAT)
    assert [json.loads(line)["verdict"] for line in done.stdout.splitlines()] == ["cat", "not_cat"], (
        done.stderr
    )
    assert [json.loads(line)["subject"] for line in done.stdout.splitlines()] == ["coffee", "coffee"]


REFUSALS = [
    (["/no/such/folder"], "There is no file or folder /no/such/folder."),
    (["--model", "resnet9000", CAT], "There is no model called 'resnet9000'"),
    (["--model", "resnet50", "--weights-dir", "/no/such/folder", CAT], "resnet50 are not on disk"),
    (["--subject", "unicorn", CAT], "no subject 'unicorn'"),
    (["--json", "--csv", CAT], "--json and --csv can't be used together"),
    ([], "Missing argument 'PATH...'"),
    (["explain", CAT], "Missing option '-o'"),
    (["explain", "/no/such/photo", "-o", "x.png"], "There is no file /no/such/photo."),
]


def test_refusals_do_not_wait_for_torch() -> None:
    """One process refuses them all, because each start takes a third of a second of a core."""
    done = _without(["torch"], *(arguments for arguments, _ in REFUSALS))
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    *refusals, rest = re.split(r"^exit code 2\n", done.stderr, flags=re.MULTILINE)
    assert (len(refusals), rest) == (len(REFUSALS), "")
    for refusal, (_, message) in zip(refusals, REFUSALS, strict=True):
        assert message in refusal


def test_help_needs_click_alone() -> None:
    done = _without(["torch", "numpy", "PIL", "tqdm"], ["--help"])
    assert done.returncode == 0, done.stderr
    assert "  1    some files were not read" in done.stdout


def test_torch_numpy_pillow_and_click_are_enough(tmp_path: Path) -> None:
    """Other packages can't be imported, not even pillow-heif; tqdm is only used on terminals."""
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    refused = [
        "flask", "boto3", "botocore", "sqlalchemy", "tqdm", "requests", "catloader", "skimage", "scipy",
        "torchvision", "pillow_heif", "standardwebhooks", "alembic", "openvino", "simplejpeg",
        "cykooz_resizer",
    ]  # fmt: skip
    done = _without(refused, ["--json", *LITE, CAT, COFFEE, str(tmp_path)])
    assert done.returncode == 1, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["verdict"] for row in rows] == ["cat", "not_cat", "unreadable"]
    assert rows[2]["error"].startswith("This is not a photo")  # and not that the checker failed


def _without(packages: list[str], *commands: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the tool in a process in which these packages can't be imported.

    After each of several commands, the process writes its exit code to standard error.
    """
    code = (
        "import json, sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {packages!r}:\n"
        "            raise ModuleNotFoundError(f'{name} is not for this test')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from checker.__main__ import main\n"
        "commands = json.loads(sys.argv[1])\n"
        "for arguments in commands:\n"
        "    code = main(arguments)\n"
        "    if commands[1:]:\n"
        "        print('exit code', code, file=sys.stderr)\n"
        "sys.exit(code)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, json.dumps(commands)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_ctrl_c_ends_the_tool_cleanly(many: Path) -> None:
    with _start("--json", *LITE, str(many)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        watchdog = threading.Timer(60, process.kill)  # a process that hangs must not hang the tests
        watchdog.start()
        rest = process.stdout.read()
        stderr = process.stderr.read()
        assert process.wait(60) == 130
        watchdog.cancel()
    assert "Traceback" not in stderr
    # The signal may arrive after a line was counted and before it was printed.
    assert int(stderr.split(" file")[0]) - 1 - rest.count("\n") in (0, 1)
    assert all(json.loads(line) for line in rest.splitlines())


@pytest.mark.parametrize("when", ["while it loads the model", "while it works"])
def test_a_second_ctrl_c_ends_the_tool_at_once(many: Path, when: str) -> None:
    # On a terminal the tool prints a line when it begins to load the model.
    terminal, its_end = pty.openpty()
    with _start("--json", *LITE, str(many), stderr=its_end) as process:
        os.close(its_end)
        assert process.stdout is not None
        shown = b""
        while b"loading" not in shown:
            shown += _read(terminal)
            assert process.poll() is None, shown
        if when == "while it works":
            process.stdout.readline()
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)  # the kernel merges two pending signals of the same kind
        while chunk := _read(terminal):
            shown += chunk
        assert process.wait(60) == 130
    os.close(terminal)
    assert b"Traceback" not in shown


@pytest.mark.parametrize(
    ("closed", "code", "message"),
    [
        (">&-", 2, "checker: There is nowhere to write to: the standard output is closed.\n"),
        ("2>&-", 0, ""),
    ],
)
def test_a_closed_stream_is_refused_or_ignored(closed: str, code: int, message: str) -> None:
    command = f'exec "$0" -m checker --json --model efficientnet_lite0 --device cpu {CAT} {closed}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (code, message)
    assert done.stdout.count('"verdict": "cat"') == (code == 0)


def test_reader_that_closes_the_pipe_gives_exit_code_141(many: Path) -> None:
    with _start(*LITE, str(many)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 141


def test_a_full_disk_is_reported(many: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = _run(*LITE, str(many), capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr == "checker: The output can't be written: No space left on device.\n"


def test_a_full_disk_leaves_the_photos_judged_so_far_for_timelapse(many: Path, tmp_path: Path) -> None:
    """A limit on the size of files has the effect of a full disk: a write fails midway."""
    photos = [str(many / f"{number:04}.png") for number in range(20)]
    verdicts, timelapse = tmp_path / "verdicts.jsonl", tmp_path / "timelapse.json"
    files = ["--resume", str(verdicts), "--megadetector", str(timelapse)]
    limited = [sys.executable, "-m", "checker", "--json", *LITE, *photos, *files]
    command = ["sh", "-c", 'ulimit -f 8 && exec "$@"', "sh", *limited]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "checker: The output can't be written: File too large.\n"
    judged = verdicts.read_bytes().count(b"\n")
    assert 1 <= judged < 20
    assert len(json.loads(timelapse.read_text())["images"]) == judged
    assert sorted(tmp_path.iterdir()) == [timelapse, verdicts], "no unfinished file is left"


def test_a_terminal_shows_progress_and_colours(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.png").symlink_to(CAT)
    terminal, its_end = pty.openpty()
    with _start("--csv", *LITE, str(tmp_path), stderr=its_end) as process:
        os.close(its_end)
        assert process.stdout is not None
        rows = process.stdout.read()
        shown = _read_all(terminal)
        assert process.wait(60) == 0
    assert rows.count("\n") == 13
    assert b"loading the model" in shown
    assert b"/12 [00:0" in shown
    assert shown.rstrip().split(b"\r")[-1].startswith(b"12 files: 12 cat"), "the bar is wiped away"

    terminal, its_end = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with _start(*LITE, CAT, stdout=its_end, stderr=its_end, env=environment) as process:
        os.close(its_end)
        shown = _read_all(terminal)
        assert process.wait(60) == 0
    assert b"\x1b[32mcat" in shown


def _read_all(terminal: int) -> bytes:
    shown = b""
    while chunk := _read(terminal):
        shown += chunk
    os.close(terminal)
    return shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux raises it when the other end is closed
        return b""


def test_killed_run_resumes_and_timelapse_gets_all_photos(many: Path, tmp_path: Path) -> None:
    photos = [str(many / f"{number:04}.png") for number in range(40)]
    verdicts, timelapse = tmp_path / "verdicts.jsonl", tmp_path / "timelapse.json"
    command = ["--json", *LITE, *photos, "--resume", str(verdicts), "--megadetector", str(timelapse)]
    with _start(*command) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.communicate()
    before = verdicts.read_bytes().count(b"\n")
    assert 1 <= before < 40
    assert not timelapse.exists()

    done = _run(*command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 40 - before
    assert done.stderr.endswith(f"Skipped: {before} file{'s' * (before > 1)} of an earlier run\n")
    assert [json.loads(line)["path"] for line in verdicts.read_text().splitlines()] == photos
    images = json.loads(timelapse.read_text())["images"]
    assert [image["file"] for image in images] == [Path(photo).name for photo in photos]

    other = _run("--json", *LITE, "--subject", "dog", *photos, "--resume", str(verdicts))
    assert other.returncode == 2
    assert "choose another file" in other.stderr
    assert "Traceback" not in other.stderr


def test_a_run_is_continued_with_its_variant_although_a_faster_one_was_made_since(tmp_path: Path) -> None:
    command = ["--json", "--device", "cpu", "--resume", str(tmp_path / "v.jsonl")]
    slow = ["--model", "efficientnet_lite0", "--runtime", "torch", "--precision", "fp32"]
    assert _run(*command, *slow, CAT).returncode == 0
    for requested in ([], ["--model", "efficientnet_lite0"]):
        again = _run(*command, *requested, CAT, COFFEE)
        assert again.returncode == 0, again.stderr
    rows = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert [(row["path"], row["runtime"], row["precision"]) for row in rows] == [
        (CAT, "torch", "fp32"),
        (COFFEE, "torch", "fp32"),
    ]
    other = _run(*command, "--model", "efficientnet_lite0", "--runtime", "openvino", CAT, COFFEE)
    assert other.returncode == 2
    assert "choose another file" in other.stderr


def test_a_run_is_not_continued_by_a_version_that_judges_turned_photos_otherwise(tmp_path: Path) -> None:
    verdicts = tmp_path / "v.jsonl"
    command = ["--json", *LITE, "--resume", str(verdicts)]
    assert _run(*command, CAT).returncode == 0
    row = json.loads(verdicts.read_text())
    del row["turned_deg"]
    verdicts.write_text(json.dumps(row) + "\n")
    done = _run(*command, CAT, COFFEE)
    assert (done.returncode, done.stdout) == (2, "")
    assert "judged turned photos as they lie" in done.stderr
    assert done.stderr.endswith("choose another file.\n")
    assert json.loads(verdicts.read_text()) == row


def test_files_that_could_not_be_read_are_tried_again_by_the_next_run(tmp_path: Path) -> None:
    """A photo that was still being copied, one whose disk was away, and one that stays broken."""
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(Path(CAT).read_bytes()[:100_000])
    (photos / "b.png").symlink_to(tmp_path / "share" / "b.png")
    (photos / "c.png").write_text("not a photo")
    (photos / "d.png").symlink_to(COFFEE)
    verdicts, timelapse = tmp_path / "verdicts.jsonl", tmp_path / "timelapse.json"
    command = ["--json", *LITE, str(photos), "--resume", str(verdicts), "--megadetector", str(timelapse)]

    def failed() -> list[str]:
        images = json.loads(timelapse.read_text())["images"]
        return sorted(image["file"] for image in images if "failure" in image)

    first = _run(*command)
    assert first.returncode == 1, first.stderr
    assert verdicts.read_text().count("\n") == 1
    assert failed() == ["a.png", "b.png", "c.png"]

    (photos / "a.png").write_bytes(Path(CAT).read_bytes())
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "b.png").symlink_to(CAT)
    second = _run(*command)
    assert second.returncode == 1
    found = [(Path(row["path"]).name, row["verdict"]) for row in map(json.loads, second.stdout.splitlines())]
    assert found == [("a.png", "cat"), ("b.png", "cat"), ("c.png", "unreadable")]
    assert failed() == ["c.png"]
    assert second.stderr.endswith("Skipped: 1 file of an earlier run\n")


def test_explain_writes_a_png(tmp_path: Path) -> None:
    done = _run("explain", CAT, "-o", str(tmp_path / "why.png"), "--model", "efficientnet_lite0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"wrote {tmp_path / 'why.png'}\n"
    with Image.open(tmp_path / "why.png") as heat_map, Image.open(CAT) as photo:
        assert (heat_map.format, heat_map.size) == ("PNG", photo.size)


def test_explain_rotates_a_turned_photo_as_the_check_does(tmp_path: Path) -> None:
    """The heat is that of the upright photo, on the photo as it lies."""
    with Image.open(OWN_PHOTOS.folder / "cat" / "ginger_kitten.jpg") as image:
        upright = image.convert("RGB")
    photos = {0: upright, 90: upright.transpose(Image.Transpose.ROTATE_90)}
    heat = {}
    for turned_deg, photo in photos.items():
        photo.save(tmp_path / f"{turned_deg}.png")
        row = json.loads(_run("--json", *LITE, str(tmp_path / f"{turned_deg}.png")).stdout)
        assert row["turned_deg"] == turned_deg
        why = tmp_path / f"why-{turned_deg}.png"
        assert _run("explain", row["path"], "-o", str(why), "--model", "efficientnet_lite0").returncode == 0
        with Image.open(why) as shown:
            changes = np.asarray(shown).astype(int) - np.asarray(photo.resize(shown.size))
        heat[turned_deg] = np.abs(changes).sum(axis=2)
    assert np.corrcoef(heat[90].ravel(), np.rot90(heat[0]).ravel())[0, 1] > 0.95


def test_explain_reports_errors(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a photo")
    unreadable = _run("explain", str(tmp_path / "text.jpg"), "-o", str(tmp_path / "why.png"))
    assert unreadable.returncode == 1
    assert "This is not a photo" in unreadable.stderr
    nowhere = _run("explain", CAT, "-o", str(tmp_path / "no" / "why.png"), "--model", "efficientnet_lite0")
    assert nowhere.returncode == 2
    assert f"there is no folder {tmp_path / 'no'}" in nowhere.stderr


def test_a_folder_named_explain_is_checked_and_not_taken_for_the_command(tmp_path: Path) -> None:
    (tmp_path / "explain").mkdir()
    done = _run(*LITE, "./explain", cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr) == (0, "No photos found.\n")
