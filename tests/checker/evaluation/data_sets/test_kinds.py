from __future__ import annotations

import pytest

from checker.evaluation.data_sets.kinds import imagenet_class, imagenet_wnids
from models.catalogue import class_names


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("n01440764", 0),
        ("n02123045_tabby", 281),
        ("ILSVRC2012_val_00000001_n01751748", 65),
        ("plan02123045", None),
        ("tiger cat", 282),
        ("Toilet_Tissue", 999),
        ("crane", 517),  # the machine; the bird is 134
        ("Cardigan", 264),  # the dog
        ("cardigan", 474),  # the garment
        ("n99999999", None),
        ("cats", None),
    ],
)
def test_a_class_is_found_by_its_wordnet_id_or_its_name(name: str, index: int | None) -> None:
    assert imagenet_class(name) == index


def test_there_is_one_wordnet_id_for_each_class_in_the_order_of_the_logits() -> None:
    wnids = imagenet_wnids()
    assert len(set(wnids)) == len(class_names()) == 1000
    assert list(wnids) == sorted(wnids)
