"""A sample of the mutations in ``make test``; ``python -m tests.faults.mutations`` runs all of them."""

from __future__ import annotations

import pytest

from tests.faults.mutations import answers


@pytest.mark.timeout(280)
def test_every_mutant_gets_a_plain_answer_in_time() -> None:
    kinds = {answer.kind for answer in answers(300, seed=1)}
    assert "stored" in kinds
    assert "BrokenImage" in kinds
    assert not [kind for kind in kinds if "(" in kind], "a crash, or a limit that the guards should prevent"
