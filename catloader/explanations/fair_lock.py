"""One at a time, and in the order of coming, though nobody is kept waiting: who comes in vain comes again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Turns:
    """Thread-safe."""

    def __init__(self, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            patience_s: who has not come again for so long has given up.
        """
        self._patience_s, self._clock = patience_s, clock
        self._guard = threading.Lock()
        self._came_s: dict[int, float] = {}
        """Who came in vain, in the order of coming first, and when last."""
        self._taken = False

    @property
    def taken(self) -> bool:
        return self._taken

    def take(self, who: int) -> bool:
        """Whether it is theirs; then ``end`` has to follow. Else they keep their place by coming again."""
        with self._guard:
            now_s = self._clock()
            self._came_s = {
                other: last_s for other, last_s in self._came_s.items() if now_s - last_s < self._patience_s
            }
            if self._taken or next(iter(self._came_s), who) != who:
                self._came_s[who] = now_s
                return False
            self._came_s.pop(who, None)
            self._taken = True
            return True

    def end(self) -> None:
        self._taken = False
