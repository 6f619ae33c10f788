"""A sample of the mutations; ``python -m tests.faults.mutations`` runs all."""

from __future__ import annotations

import pytest

from tests.faults.mutations import answers


@pytest.mark.timeout(280)
def test_every_mutant_is_stored_or_plainly_refused_in_time() -> None:
    kinds = {answer.kind for answer in answers(300, seed=1)}
    assert "stored" in kinds
    assert "BrokenImage" in kinds
    assert not [kind for kind in kinds if "(" in kind], (
        "a child crashed, or reached a limit that the guards should prevent"
    )
