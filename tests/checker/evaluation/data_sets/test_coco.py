from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from checker.evaluation.data_sets.read import labelled_photos
from checker.evaluation.photos import UnusablePhotos

CATEGORIES = [
    {"id": 1, "name": "person", "supercategory": "person"},
    {"id": 17, "name": "cat", "supercategory": "animal"},
    {"id": 18, "name": "dog", "supercategory": "animal"},
    {"id": 19, "name": "horse", "supercategory": "animal"},
]
SHOWN = {
    "1.jpg": [1, 17],
    "2.jpg": [18, 17],
    "3.jpg": [1, 18, 19],
    "4.jpg": [1, 19],
    "5.jpg": [1],
    "6.jpg": [],
}


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    (tmp_path / "val2017").mkdir()
    for name in SHOWN:
        (tmp_path / "val2017" / name).touch()
    write(tmp_path, {})
    return tmp_path


def write(folder: Path, changes: dict[str, Any]) -> None:
    images = [{"id": number, "file_name": name} for number, name in enumerate(SHOWN)]
    boxes = [
        {"id": 10 * image + category, "image_id": image, "category_id": category}
        for image, categories in enumerate(SHOWN.values())
        for category in categories
    ]
    content = {"images": images, "annotations": boxes, "categories": CATEGORIES, **changes}
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations" / "instances_val2017.json").write_text(json.dumps(content))


def test_a_photo_with_a_cat_among_others_is_a_cat_and_the_rest_has_kinds(coco: Path) -> None:
    for data in (coco, coco / "annotations" / "instances_val2017.json"):
        assert {photo.name: (photo.label, photo.kind) for photo in labelled_photos(data)} == {
            "1.jpg": ("cat", None),
            "2.jpg": ("cat", None),
            "3.jpg": ("not_cat", "dog"),
            "4.jpg": ("not_cat", "other animal"),
            "5.jpg": ("not_cat", "thing or scene"),
            "6.jpg": ("not_cat", "thing or scene"),
        }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"categories": None},
            "cannot be read as COCO annotations: it lacks images, annotations or categories",
        ),
        (
            {"annotations": [{"image_id": 1, "category_id": 99}]},
            "cannot be read as COCO annotations: .*category 99 has no name",
        ),
        ({"images": [{"id": 0}]}, "cannot be read as COCO annotations: .*'file_name'"),
        ({"images": []}, "names no photos"),
        (
            {"images": [{"id": 1, "file_name": "1.jpg"}, {"id": 1, "file_name": "2.jpg"}]},
            "two images have the id 1",
        ),
        ({"images": [{"id": 1, "file_name": "gone.jpg"}]}, r"its photo gone\.jpg is not in .*val2017"),
        ({"images": [{"id": 0, "file_name": "1.jpg"}, {"id": 9, "file_name": "9.jpg"}]}, "there is no photo"),
    ],
)
def test_annotations_with_an_error_are_refused_in_one_sentence(
    coco: Path, changes: dict[str, Any], message: str
) -> None:
    write(coco, changes)
    with pytest.raises(UnusablePhotos, match=message):
        labelled_photos(coco)


def test_a_photo_that_is_listed_twice_is_one_photo_with_the_boxes_of_both(coco: Path) -> None:
    images = [
        {"id": 0, "file_name": "1.jpg"},
        {"id": 1, "file_name": "./1.jpg"},
        {"id": 2, "file_name": "2.jpg"},
    ]
    boxes = [{"image_id": 1, "category_id": 17}, {"image_id": 2, "category_id": 18}]
    write(coco, {"images": images, "annotations": boxes})
    assert [(photo.name, photo.label) for photo in labelled_photos(coco)] == [
        ("1.jpg", "cat"),
        ("2.jpg", "not_cat"),
    ]


def test_words_as_ids_and_paths_from_windows_are_read_as_camera_traps_have_them(coco: Path) -> None:
    images = [{"id": "a-1", "file_name": "val2017\\1.jpg"}, {"id": "a-2", "file_name": "val2017\\2.jpg"}]
    write(coco, {"images": images, "annotations": [{"image_id": "a-1", "category_id": 17}]})
    assert [photo.label for photo in labelled_photos(coco)] == ["cat", "not_cat"]


@pytest.mark.parametrize("form", [str, float], ids=["text", "float"])
def test_the_same_id_may_be_written_as_a_number_and_as_text(coco: Path, form: Any) -> None:
    boxes = [{"image_id": form(0), "category_id": form(17)}, {"image_id": 1, "category_id": 18}]
    write(coco, {"annotations": boxes})
    assert [photo.label for photo in labelled_photos(coco)][:2] == ["cat", "not_cat"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_annotations_are_read_in_the_encodings_of_windows(coco: Path, encoding: str) -> None:
    path = coco / "annotations" / "instances_val2017.json"
    before = labelled_photos(coco)
    path.write_bytes(path.read_text().encode(encoding))
    assert [(photo.name, photo.label) for photo in labelled_photos(coco)] == [
        (photo.name, photo.label) for photo in before
    ]


def test_an_image_without_a_name_is_refused(coco: Path) -> None:
    write(coco, {"images": [{"id": 0, "file_name": None}]})
    with pytest.raises(UnusablePhotos, match="the image 0 has no file_name"):
        labelled_photos(coco)


def test_a_category_that_is_missing_is_named(coco: Path) -> None:
    assert {photo.label for photo in labelled_photos(coco, ["horse"])} == {"cat", "not_cat"}
    with pytest.raises(UnusablePhotos, match=r"has no category lynx"):
        labelled_photos(coco, ["horse", "Lynx"])


def test_annotations_nested_too_deeply_are_refused(coco: Path) -> None:
    (coco / "annotations" / "instances_val2017.json").write_text("[" * 100_000)
    with pytest.raises(UnusablePhotos, match="cannot be read as COCO annotations"):
        labelled_photos(coco)


def test_a_folder_with_two_sets_asks_for_one(coco: Path) -> None:
    (coco / "annotations" / "instances_train2017.json").write_text("{}")
    with pytest.raises(
        UnusablePhotos, match=r"give one of instances_train2017\.json, instances_val2017\.json"
    ):
        labelled_photos(coco)


@pytest.mark.parametrize(
    ("names", "label", "kind"),
    [
        (["leopard"], "wild_feline", "wild feline"),
        (["person", "Lynx"], "wild_feline", "wild feline"),
        (["leopard", "cat"], "cat", None),
        (["deer"], "not_cat", "deer"),
        (["red fox"], "not_cat", "other animal"),
        (["person", "dog"], "not_cat", "dog"),
        (["empty"], "not_cat", "empty"),
        ([], "not_cat", "thing or scene"),
    ],
)
def test_categories_without_supercategory_give_the_kinds_of_class_folders(
    coco: Path, names: list[str], label: str, kind: str | None
) -> None:
    """Camera traps name species, and seldom state which of them are animals."""
    categories = [{"id": number, "name": name} for number, name in enumerate(["cat", "empty", *names])]
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in (1, 2, 3)]
    boxes = [{"image_id": 1, "category_id": 0}, {"image_id": 2, "category_id": 1}]
    boxes += [{"image_id": 3, "category_id": number} for number in range(2, len(categories))]
    write(coco, {"images": images, "annotations": boxes, "categories": categories})
    photo = labelled_photos(coco)[-1]
    assert (photo.name, photo.label, photo.kind) == ("3.jpg", label, kind)


def test_a_wild_feline_of_coco_is_a_wild_feline(coco: Path) -> None:
    categories = [*CATEGORIES[:3], {"id": 19, "name": "tiger", "supercategory": "animal"}]
    write(coco, {"categories": categories})
    labels = {photo.name: photo.label for photo in labelled_photos(coco)}
    assert labels["4.jpg"] == "wild_feline"


@pytest.mark.parametrize("category", [{"id": 17}, 17, {"id": 17, "name": "cat", "supercategory": 5}])
def test_a_category_of_another_layout_is_refused_or_read(coco: Path, category: Any) -> None:
    write(coco, {"categories": [category, *CATEGORIES[:1], *CATEGORIES[2:]]})
    if isinstance(category, dict) and "name" in category:
        assert len(labelled_photos(coco)) == len(SHOWN)
        return
    with pytest.raises(UnusablePhotos, match="cannot be read as COCO annotations"):
        labelled_photos(coco)
