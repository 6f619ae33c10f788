"""Turns: one at a time, and nobody is kept out by those who are always there."""

from __future__ import annotations

from collections import Counter

from catloader.explanations.fair_lock import Turns

ANNA, BEN, CLEO = 1, 2, 3


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_one_at_a_time() -> None:
    turns = Turns(6)
    assert turns.take(ANNA)
    assert turns.taken
    assert not turns.take(ANNA)
    assert not turns.take(BEN)
    turns.end()
    assert not turns.taken


def test_alone_one_may_come_again_at_once() -> None:
    turns = Turns(6)
    for _ in range(3):
        assert turns.take(ANNA)
        assert not turns.take(ANNA)
        turns.end()


def test_who_came_in_vain_is_next_but_for_who_gave_up() -> None:
    clock = Clock()
    turns = Turns(6, clock)
    assert turns.take(ANNA)
    assert not turns.take(BEN)
    assert not turns.take(CLEO)
    turns.end()
    clock.now_s += 5.9
    assert not turns.take(ANNA)
    assert not turns.take(CLEO), "Ben came before"
    clock.now_s += 0.2
    assert not turns.take(ANNA), "Ben is gone, and Cleo came again"
    assert turns.take(CLEO)


def test_three_who_always_come_get_as_many_turns_each() -> None:
    clock = Clock()
    turns = Turns(6, clock)
    had: Counter[int] = Counter()
    for _ in range(60):
        # Anna is the quickest, always, and Cleo the slowest.
        had[next(who for who in (ANNA, BEN, CLEO) if turns.take(who))] += 1
        for other in (ANNA, BEN, CLEO):
            assert not turns.take(other)
        turns.end()
        clock.now_s += 3
    assert all(19 <= had[who] <= 21 for who in (ANNA, BEN, CLEO))
