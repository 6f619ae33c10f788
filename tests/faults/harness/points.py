"""The ``catloader`` command, whose processes kill themselves at a point that is named in a file.

``python -m tests.faults.harness.points FILE COMMAND ...`` runs ``python -m catloader COMMAND ...``. The first
process that reaches the point named in FILE removes the file and sends itself SIGKILL; or, if FILE contains
``stop POINT``, SIGSTOP.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from checker.process.garbage import postpone_full_collections

_OF_THE_SITE = {
    "upload": "catloader.web.uploads.storing:store",
    "prepare": "catloader.intake.isolated:IsolatedPreparer.__call__",
}
"""Patched in web processes only: a checker never calls these, and would have to import the whole site."""
_FUNCTIONS = {
    "reserve": "catloader.store.db.photos.photos:Photos.reserve",
    "put": "catloader.store.s3.objects:ObjectStore.put",
    "add": "catloader.store.db.photos.photos:Photos.add",
    "claim": "catloader.store.db.checks.queue:SqlCheckQueue.claim",
    "fetch": "checker.pipeline:fetch",
    "begin": "catloader.store.db.checks.queue:SqlCheckQueue.begin",
    "classify": "checker.workers:Workers._classify",
    "finish": "catloader.store.db.checks.queue:SqlCheckQueue.finish",
    "delete": "catloader.store.s3.objects:ObjectStore.delete_many",
    "forget": "catloader.store.db.photos.deletions:Deletions.done",
}
_WAKE_UPS = (
    "catloader.checks.dispatch:InBackground.wake",
    "catloader.checks.dispatch:Off.wake",
)
_WAKE_UP_OF_OWN_CHECKER = "checker.service:CheckerService.wake"
"""Patched in web processes only: in a worker it receives wake-ups, and the wrong process would be killed."""

STOP = "stop "
UPLOAD = ("upload", "prepare", "reserve", "put photo", "put thumbnail", "add", "wake")
UPLOAD_POINTS = [f"{when} {what}" for what in UPLOAD for when in ("before", "after")]
CHECK_POINTS = [
    "after claim",
    "after fetch",
    "before begin",
    "after begin",
    "after classify",
    "after finish",
]
DELETION_POINTS = ["before delete", "after delete", "before forget", "after forget"]


def _install(file: Path, command: str) -> None:
    functions = [*_FUNCTIONS.items(), *(("wake", path) for path in _WAKE_UPS)]
    if command == "serve":
        functions += [*_OF_THE_SITE.items(), ("wake", _WAKE_UP_OF_OWN_CHECKER)]
    for name, path in functions:
        module_name, _, attributes = path.partition(":")
        *owners, attribute = attributes.split(".")
        owner: Any = functools.reduce(getattr, owners, import_module(module_name))
        setattr(owner, attribute, _dying(getattr(owner, attribute), name, file))


def _dying(function: Callable[..., Any], name: str, file: Path) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> Any:
        where = f"put {args[1]}" if name == "put" else name
        _end_if_named(f"before {where}", file)
        result = function(*args, **options)
        if name != "claim" or result:  # an empty claim concerns no photo
            _end_if_named(f"after {where}", file)
        return result

    return wrapped


def _end_if_named(point: str, file: Path) -> None:
    try:
        text = file.read_text()
        if text.removeprefix(STOP) != point:
            return
        file.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGSTOP if text.startswith(STOP) else signal.SIGKILL)


if __name__ == "__main__":
    postpone_full_collections()
    from catloader.cli import main

    _install(Path(sys.argv[1]), sys.argv[2])
    main(sys.argv[2:], prog_name="catloader")
