"""The actors of a run on Ray, and the units that each has in hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from catloader.bulk.engines.local import Done, Unit
from catloader.bulk.engines.ray_actor import UnitResult
from catloader.bulk.plan import BulkError

_LOSSES = 5
"""Number of actors lost in succession, without a finished unit in between, at which the run fails."""

_LOOK_EVERY_S = 5.0
"""Time between two checks of this machine's raylet. Once it has ended, Ray waits for another machine."""


class Place(NamedTuple):
    """The part of a machine for one actor."""

    node: str
    cores: int
    gpus: int


@dataclass(slots=True)
class _Member:
    place: Place
    actor: Any
    unit: Unit | None = None
    """The unit that the actor works on. None: the actor is starting."""
    ahead: Unit | None = None
    """The next unit, which the actor fetches and decodes meanwhile."""


class Fleet:
    """Sends units to actors, one at a time to each, and replaces actors that are lost.

    A unit is sent only to an actor that is ready, after the results of the actor's previous unit are written.
    """

    def __init__(self, ray: Any, make: Callable[[Place], Any], places: Iterable[Place]) -> None:
        """``make`` starts an actor."""
        self._ray, self._make = ray, make
        self._home = ray.get_runtime_context().get_node_id()
        self._members: dict[Any, _Member] = {}
        """Reference of a pending result -> the actor that works on it."""
        self._waiting: deque[Unit] = deque()
        for place in places:
            self._add(place)

    def run(self, units: Iterable[Unit]) -> Iterator[Done]:
        """Yield the results of each unit; the next unit of an actor is sent when the caller asks for more.

        Raises:
            BulkError: an actor reports an error, or the raylet of this machine has ended.
            RayError: Ray failed, or lost actors again and again.
        """
        rest, losses = iter(units), 0
        self._waiting.extend(islice(rest, 2 * len(self._members)))  # read while the actors start
        while self._waiting or any(member.unit for member in self._members.values()):
            ready, _ = self._ray.wait(list(self._members), num_returns=1, timeout=_LOOK_EVERY_S)
            if not ready:
                self._look_at_raylet()
                continue
            (reference,) = ready
            member = self._members.pop(reference)
            try:
                result: UnitResult = self._ray.get(reference)
            except self._ray.exceptions.RayTaskError:
                raise
            except self._ray.exceptions.RayError:
                self._look_at_raylet()
                losses += 1
                if losses == _LOSSES:
                    raise
                self._replace(member)
                continue
            if result.error:
                raise BulkError(result.error)
            if member.unit is not None:
                losses = 0
                yield member.unit[0], result.rows
            self._waiting.extend(islice(rest, 2))
            self._send_next(member)

    def _add(self, place: Place) -> None:
        actor = self._make(place)
        self._members[actor.ready.remote()] = _Member(place, actor)

    def _look_at_raylet(self) -> None:
        if not any(node["NodeID"] == self._home and node["Alive"] for node in self._ray.nodes()):
            raise BulkError("Ray's raylet on this machine has ended; `catloader bulk resume` continues.")

    def _replace(self, member: _Member) -> None:
        self._ray.kill(member.actor)  # the actor may still run and only be unreachable
        self._waiting.extendleft(unit for unit in (member.ahead, member.unit) if unit is not None)
        self._add(member.place)

    def _send_next(self, member: _Member) -> None:
        member.unit, member.ahead = member.ahead or self._next(), None
        if member.unit is None:
            return  # the actor stays idle; lost actors are replaced by new actors
        member.ahead = self._next()
        reference = member.actor.check.remote(member.unit, member.ahead)
        self._members[reference] = member

    def _next(self) -> Unit | None:
        return self._waiting.popleft() if self._waiting else None
