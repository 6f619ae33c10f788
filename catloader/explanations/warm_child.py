"""The caller's side of the explaining process, which is started on demand and kept for a while.

Loading torch takes seconds, so the process is reused for the next photo. It takes about 700 MB, a third of
them torch's files, so it ends after ``keep_s`` without work.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from catloader.errors import ExplanationFailed
from catloader.processes import start_child
from checker.isolation import frames
from checker.pixels.explained_photo import ExplainedPhoto
from checker.process.child_python import python_path
from checker.process.signal_names import signal_name

logger = logging.getLogger(__name__)

_LAST_WORDS_S = 2.0
"""Time for a process that fails: it closes its connection before it prints the reason."""


class WarmChild:
    """A process of ``catloader.explanations.child``. Only one caller at a time may call ``ask``."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        # The kernel kills a child when the thread that started it ends, so this thread starts all children.
        self._thread: ThreadPoolExecutor | None = None
        self._guard = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._end: socket.socket | None = None
        self._retirement: threading.Timer | None = None
        self._closed = False

    def ask(self, basis: str, photo: ExplainedPhoto, limit_s: float) -> bytes:
        """Return the JPEG that explains a photo.

        Args:
            basis: ``DecisionBasis.to_json()``.
            limit_s: time for the photo, including the start of the process if it is not running.

        Raises:
            ExplanationFailed: the process made no explanation, or not in time and was ended.
        """
        with self._guard:
            self._refuse_if_closed()
            self._thread = self._thread or ThreadPoolExecutor(1, "explain")
            future = self._thread.submit(self._ask, basis, photo, limit_s)
        return future.result()

    def close(self) -> None:
        """Kill the process, if there is one; a call of ``ask`` that waits for it fails."""
        with self._guard:
            self._closed = True
            self._cancel_retirement()
            if self._thread is not None:
                self._thread.shutdown(wait=False)
        self._end_process()

    def _ask(self, basis: str, photo: ExplainedPhoto, limit_s: float) -> bytes:
        deadline_s = time.monotonic() + limit_s
        try:
            end = self._running()
            end.settimeout(limit_s)
            shapes = [part.shape for part in photo]
            frames.send(end, {"basis": basis, "shapes": shapes}, [part.tobytes() for part in photo])
            reply, parts = frames.receive(end, deadline_s)
        except TimeoutError:
            self._end_process()
            raise ExplanationFailed(f"Explaining a photo took more than {limit_s:g} s.") from None
        except OSError as error:  # includes frames.Closed
            logger.error("The explaining process ended: %s", self._end_process(_LAST_WORDS_S) or error)
            raise ExplanationFailed("The explanation could not be made.") from None
        self._retire_later()
        if len(parts) != 1:
            logger.error("A photo could not be explained: %s", reply.get("error"))
            raise ExplanationFailed("The explanation could not be made.")
        return parts[0]

    def _running(self) -> socket.socket:
        """Return the connection to the process; start the process if it is not running."""
        with self._guard:
            self._refuse_if_closed()
            self._cancel_retirement()
            if self._end is None or self._process is None or self._process.poll() is not None:
                self._start()
            assert self._end is not None
            return self._end

    def _start(self) -> None:
        self._end, for_child = frames.pair()
        with for_child:
            self._process = start_child(
                # -P: do not import modules from the folder in which the site was started.
                [sys.executable, "-P", "-m", "catloader.explanations.child", str(for_child.fileno())],
                env={**os.environ, "PYTHONPATH": python_path(), "OMP_NUM_THREADS": "1"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                keep_open=[for_child.fileno()],
            )

    def _end_process(self, patience_s: float = 0.0) -> str:
        """End the process, if there is one; return the end of its error output, or the signal that ended it.

        Args:
            patience_s: time in which the process may end by itself.
        """
        with self._guard:
            process, self._process = self._process, None
            end, self._end = self._end, None
        output = b""
        if process is not None:
            try:
                _, output = process.communicate(timeout=patience_s)
                if not output and process.returncode < 0:
                    output = f"by {signal_name(-process.returncode)}; perhaps memory is short".encode()
            except subprocess.TimeoutExpired:
                process.kill()
                _, output = process.communicate()
        if end is not None:
            end.close()
        return output.decode(errors="replace")[-2000:].strip()

    def _retire_later(self) -> None:
        with self._guard:
            if self._closed or self._thread is None:
                return
            self._retirement = threading.Timer(self._keep_s, self._retire)
            self._retirement.daemon = True
            self._retirement.start()

    def _retire(self) -> None:
        """End the process between two photos (the target of a timer)."""
        with self._guard:
            if self._thread is not None and self._retirement is threading.current_thread():
                self._thread.submit(self._end_process)

    def _cancel_retirement(self) -> None:
        if self._retirement is not None:
            self._retirement.cancel()
            self._retirement = None

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise ExplanationFailed("The site is stopping.")
