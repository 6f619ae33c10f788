from __future__ import annotations

import os
from pathlib import Path

import pytest

from checker.evaluation.data_sets.read import labelled_photos
from checker.evaluation.photos import CAT, NOT_CAT, UnusablePhotos


def names(folder: Path) -> list[tuple[str, str]]:
    return [(photo.name, photo.label) for photo in labelled_photos(folder)]


def test_a_table_wins_over_the_folders(folder: Path) -> None:
    table = "\ufefffile,label\ncat/a.jpg,not_cat\nnot_cat/a.jpg,cat\n"  # as spreadsheets write UTF-8
    (folder / "labels.csv").write_text(table, encoding="utf-8")
    assert names(folder) == [("cat/a.jpg", NOT_CAT), ("not_cat/a.jpg", CAT)]
    assert names(folder / "labels.csv") == names(folder)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"file,label\ncat/a.jpg,kitten\n", r"labels\.csv, line 2: 'kitten' is not a label"),
        (
            b"file,label\ncat/a.jpg,cat\nnot_cat/gone.jpg,not_cat\n",
            r"line 3: there is no file 'not_cat/gone\.jpg'",
        ),
        (
            b"photo,label\ncat/a.jpg,cat\n",
            r"labels\.csv: its first line must name the columns file and label, not 'photo, label'",
        ),
        (b"", r"labels\.csv: its first line must name the columns file and label; it is empty"),
        (b"PK\x03\x04\x81\x8d", r"labels\.csv cannot be read as a table: it is not text"),
        (b"label,file\ncat\n", r"labels\.csv, line 2: there is no file ''"),
        (b"\nsep=;\nfile;label\ngone.jpg;cat\n", r"labels\.csv, line 4: there is no file 'gone\.jpg'"),
        (
            b"file,label,note,label\ncat/a.jpg,cat,,not_cat\nnot_cat/a.jpg,not_cat,,cat\n",
            r"labels\.csv: its first line names the column label twice",
        ),
        (
            b'file,label,note\ncat/a.jpg,cat,"1""\n2"\n\nnot_cat/a.jpg,not_cat,"old\ngone.jpg,cat,\n',
            r"labels\.csv, line [45]: a quotation mark is not closed",
        ),
        (b"file,label\ncat/a.jpg,cat\n", "photos of both labels are needed.*found 1 cat, 0 not_cat"),
    ],
)
def test_a_table_with_an_error_is_refused_in_one_sentence(folder: Path, table: bytes, message: str) -> None:
    (folder / "labels.csv").write_bytes(table)
    with pytest.raises(UnusablePhotos, match=message):
        labelled_photos(folder)


@pytest.mark.parametrize(
    "table",
    [
        "\ufefffile;label\r\ncat/a.jpg;cat\r\n;\r\nnot_cat/a.jpg;not_cat\r\n",
        "File\tLabel\ncat/a.jpg\tcat\nnot_cat/a.jpg\tnot_cat\n",
        "label, file\ncat, cat/a.jpg\n,\n\nnot_cat, not_cat/a.jpg\n",
        '"file","label"\n"cat\\a.jpg","cat"\n"not_cat\\a.jpg","not_cat"\n',
        '"file", "label"\n"cat/a.jpg", "Cat"\n"not_cat/a.jpg", "Not-cat"\n',
        "sep=|\r\nfile|label\r\ncat/a.jpg|cat\r\nnot_cat/a.jpg|not_cat\r\n",
        "sep=\t\r\nfile\tlabel\ta, b, c, d\r\ncat/a.jpg\tcat\t\r\nnot_cat/a.jpg\tnot_cat\t\r\n",
        '"sep=;"\r\nfile;label\r\ncat/a.jpg;cat\r\nnot_cat/a.jpg;not_cat\r\n',
        "\r\n\r\nfile,label\r\nCat\\A.JPG,cat\r\nNOT_CAT/a.JPG,not_cat\r\n",
        "file,label\rcat/a.jpg,cat\rnot_cat/a.jpg,not_cat\r",
    ],
    ids=[
        "semicolons",
        "tabs",
        "spaces",
        "Windows",
        "labels as people write them",
        "a line that states the separator",
        "a line that states a tab",
        "that line in quotation marks",
        "empty lines and names from a system that ignores case",
        "lines of old Macs",
    ],
)
def test_a_table_is_read_in_the_format_of_spreadsheets(folder: Path, table: str) -> None:
    (folder / "labels.csv").write_text(table, encoding="utf-8", newline="")
    photos = labelled_photos(folder)
    assert [photo.label for photo in photos] == [CAT, NOT_CAT]
    assert all(photo.read() for photo in photos)


@pytest.mark.parametrize(
    "encoding",
    [
        "utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252", "cp850", "cp437", "mac_roman",
    ],
)  # fmt: skip
def test_a_table_is_read_in_every_usual_encoding(folder: Path, encoding: str) -> None:
    (folder / "cat" / "a.jpg").rename(folder / "cat" / "K\u00e4tzchen \u00fc.jpg")
    table = "file\tlabel\ncat/K\u00e4tzchen \u00fc.jpg\tcat\nnot_cat/a.jpg\tnot_cat\n"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (folder / "labels.csv").write_bytes((mark + table).encode(encoding))
    assert names(folder) == [("cat/K\u00e4tzchen \u00fc.jpg", CAT), ("not_cat/a.jpg", NOT_CAT)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "cp1252"])
def test_a_further_table_is_recognised_in_every_encoding_and_below_empty_lines(
    folder: Path, encoding: str
) -> None:
    name = ("\u00e4" if encoding == "cp1252" else "\U0001f408") * 60 + ".jpg"
    (folder / "cat" / "a.jpg").rename(folder / "cat" / name)
    (folder / "labels.csv").write_text("file,label\nnot_cat/a.jpg,not_cat\n")
    mark = "\ufeff" if encoding.startswith("utf-16") else ""
    for space in ("", " "):  # the first 8 KB, which are looked at, may end within a character
        rows = f"{mark}\r\n\r\n\r\n{space}file\tlabel\r\n" + f"cat/{name}\tcat\r\n" * 100
        (folder / "pets.csv").write_bytes(rows.encode(encoding))
        assert names(folder) == [(f"cat/{name}", CAT), ("not_cat/a.jpg", NOT_CAT)]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_recognised_without_a_mark(folder: Path, encoding: str) -> None:
    for start in ("", "\r\n"):
        table = f"{start}file,label\r\ncat/a.jpg,cat\r\nnot_cat/a.jpg,not_cat\r\n"
        (folder / "pets.csv").write_bytes(table.encode(encoding))
        assert names(folder / "pets.csv") == names(folder) == [("cat/a.jpg", CAT), ("not_cat/a.jpg", NOT_CAT)]


@pytest.mark.parametrize("name", ["LABELS.CSV", "photos.tsv"])
def test_tables_are_recognised_by_their_endings(folder: Path, name: str) -> None:
    (folder / name).write_text("file\tlabel\ncat/a.jpg\tnot_cat\nnot_cat/a.jpg\tcat\n")
    assert names(folder) == [("cat/a.jpg", NOT_CAT), ("not_cat/a.jpg", CAT)]


def test_one_file_under_two_names_is_one_photo(folder: Path) -> None:
    rows = f"file,label\ncat/a.jpg,cat\n./cat/../cat/a.jpg,cat\n{folder / 'not_cat/a.jpg'},not_cat\n"
    (folder / "labels.csv").write_text(rows)
    assert [photo.label for photo in labelled_photos(folder)] == [NOT_CAT, CAT]
    (folder / "labels.csv").write_text(rows + "cat//a.jpg,not_cat\n")
    with pytest.raises(UnusablePhotos, match=r"cat//a\.jpg is labelled not_cat here and cat earlier"):
        labelled_photos(folder)


def test_a_column_gives_the_kind_and_without_it_the_name_does(folder: Path) -> None:
    (folder / "dog.1.jpg").touch()
    rows = "file,label,kind\ncat/a.jpg,cat,\nnot_cat/a.jpg,not_cat,Soft_Picture\ndog.1.jpg,not_cat,\n"
    (folder / "labels.csv").write_text(rows)
    assert {photo.name: photo.kind for photo in labelled_photos(folder)} == {
        "cat/a.jpg": None,
        "not_cat/a.jpg": "soft picture",
        "dog.1.jpg": "dog",
    }


def test_all_tables_of_a_folder_are_read(folder: Path) -> None:
    (folder / "labels.csv").write_text("file,label\ncat/a.jpg,cat\n")
    (folder / "pets.csv").write_text(
        "file,label,kind,note\nnot_cat/a.jpg,not_cat,dog,\ncat/a.jpg,cat,,twice\n"
    )
    (folder / "verdicts.csv").write_text("path,verdict\ncat/a.jpg,cat\n")
    (folder / "._pets.csv").write_bytes(b"\0\5\x16\7")
    assert names(folder) == [("cat/a.jpg", CAT), ("not_cat/a.jpg", NOT_CAT)]
    with pytest.raises(UnusablePhotos, match="found 1 cat, 0 not_cat"):
        labelled_photos(folder / "labels.csv")


def test_tables_that_contradict_each_other_are_refused(folder: Path) -> None:
    (folder / "labels.csv").write_text("file,label\ncat/a.jpg,cat\n")
    (folder / "more.csv").write_text("file,label\ncat/a.jpg,not_cat\n")
    with pytest.raises(
        UnusablePhotos, match=r"more\.csv: cat/a\.jpg is labelled not_cat here and cat earlier"
    ):
        labelled_photos(folder)


def test_a_file_name_that_is_not_utf_8_is_read_as_reports_print_it(folder: Path) -> None:
    (folder / "cat" / "a.jpg").rename(folder / "cat" / os.fsdecode(b"caf\xe9.jpg"))
    (folder / "labels.csv").write_text("file,label\ncat/caf\\xe9.jpg,cat\nnot_cat/a.jpg,not_cat\n")
    assert names(folder) == [("cat/caf\\xe9.jpg", CAT), ("not_cat/a.jpg", NOT_CAT)]
    photo, other = labelled_photos(folder)
    assert photo.read() == other.read()
