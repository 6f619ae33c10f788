import os
from pathlib import Path

import pytest

from checker.decision.subject import SUBJECTS, Subject, load_subject
from checker.errors import ModelRefused
from models.catalogue import class_names


def class_names_of(subject: Subject) -> list[str]:
    return [class_names()[index] for index in subject.classes]


def test_house_cat_has_the_five_domestic_classes_and_lists_the_wild_ones_separately() -> None:
    house_cat = load_subject("house_cat")
    assert class_names_of(house_cat) == ["tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat"]
    assert [class_names()[index] for index in house_cat.wild] == [
        "cougar",
        "lynx",
        "leopard",
        "snow leopard",
        "jaguar",
        "lion",
        "tiger",
        "cheetah",
    ]


def test_feline_has_both_groups_and_dog_runs_from_chihuahua_to_mexican_hairless() -> None:
    assert set(SUBJECTS["feline"].classes) == set(SUBJECTS["house_cat"].classes + SUBJECTS["house_cat"].wild)
    dogs = class_names_of(SUBJECTS["dog"])
    assert (dogs[0], dogs[-1], len(dogs)) == ("Chihuahua", "Mexican hairless", 118)


def test_subject_file_accepts_names_and_indices(tmp_path: Path) -> None:
    path = tmp_path / "big_cats.toml"
    path.write_text('name = "big_cat"\nclasses = ["Lion", "persian cat", 292, 292]\nwild = ["tabby"]\n')
    assert load_subject(str(path), class_names()) == Subject("big_cat", (283, 291, 292), (281,))


def test_a_subject_file_may_begin_with_the_mark_of_an_editor_on_windows(tmp_path: Path) -> None:
    path = tmp_path / "big_cats.toml"
    path.write_text('classes = ["lion", "tiger"]\r\n', encoding="utf-8-sig")
    assert load_subject(str(path), class_names()).classes == (291, 292)


def test_two_classes_whose_names_differ_only_in_case_are_distinguished(tmp_path: Path) -> None:
    """``Cardigan`` is a dog, and ``cardigan`` a garment."""
    path = tmp_path / "cardigans.toml"
    for name, index in (("Cardigan", 264), ("cardigan", 474)):
        path.write_text(f'classes = ["{name}"]\n')
        assert load_subject(str(path)).classes == (index,)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("classes = []", "names no classes"),
        ("name = 'x'", "names no classes"),
        ("classes = ['unicorn']", "not an ImageNet-1k class"),
        ("classes = [1000]", "numbered 0 to 999"),
        ("classes = [-1]", "numbered 0 to 999"),
        ("classes = [1]\nwild = [1]", "in both classes and wild"),
        ("classes = [true]", "neither a class name nor an index"),
        ("classes = 'tabby'", "are lists"),
        ("classes = [1]\nwidl = [2]", "unknown key 'widl'"),
        ("name = 'a/b'\nclasses = [1]", "letters, digits and underscores"),
        ("classes = [", "subject file"),
    ],
)
def test_invalid_subject_file_is_refused_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "subject.toml"
    path.write_text(text)
    with pytest.raises(ModelRefused, match=reason):
        load_subject(str(path), class_names())


@pytest.mark.parametrize("name", ["hamster", "no/such/file.toml"])
def test_unknown_subject_is_refused(name: str) -> None:
    with pytest.raises(ModelRefused, match=name.replace(".", r"\.")):
        load_subject(name)


def test_a_pipe_is_refused_as_a_subject_file(tmp_path: Path) -> None:
    path = tmp_path / "subject.toml"
    os.mkfifo(path)
    with pytest.raises(ModelRefused, match=r"subject\.toml: it is not a regular file$"):
        load_subject(str(path))
