"""Step 7 in child processes: the work that runs in a child, and the class that requests it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from checker.errors import CheckerError, UnreadableImage
from checker.isolation.child import Result
from checker.isolation.fork_server import ForkServer
from checker.isolation.limits import Limits
from checker.isolation.pool import ChildPool, Reply
from checker.pixels.decode import decode, decode_each, model_inputs
from checker.pixels.explained_photo import ExplainedPhoto, explained_photo
from checker.pixels.facts import Facts, facts_of
from checker.pixels.renditions import site_renditions
from checker.values import INPUTS_PER_PHOTO, Pixels, Rendition
from models.catalogue import Preprocessing

_INPUTS, _RENDITIONS = f"{__name__}:make_inputs", f"{__name__}:make_renditions"
_EXPLAINED_PHOTO, _FACTS = f"{__name__}:make_explained_photo", f"{__name__}:make_facts"
_CENTRE = f"{__name__}:make_centre"
WORKS = (_INPUTS, _RENDITIONS, _EXPLAINED_PHOTO, _FACTS, _CENTRE)
"""The ``works`` argument of ``ForkServer``."""


class IsolatedDecoder:
    """Decodes in the children of a pool. Thread-safe."""

    def __init__(self, pool: ChildPool) -> None:
        self._pool = pool

    def __call__(
        self, photos: Sequence[Mapping[Rendition, bytes]], preprocessing: Preprocessing
    ) -> Iterator[Pixels | CheckerError]:
        """See ``ports.Decoder``. nvJPEG decodes in this process, without limits, because it needs the GPU."""
        if preprocessing.decoder != "cpu":
            yield from decode_each(photos, preprocessing)
            return
        shape = (INPUTS_PER_PHOTO, preprocessing.input_px, preprocessing.input_px, 3)
        items = [[photo[rendition] for rendition in Rendition] for photo in photos]
        for reply in self._pool.run(_INPUTS, dataclasses.asdict(preprocessing), items):
            result = _result(reply)
            if isinstance(result, Reply):
                yield np.frombuffer(result.blobs[0], np.uint8).reshape(shape)
            else:
                yield result

    def renditions(self, data: bytes, *, fast: bool = True) -> dict[Rendition, bytes]:
        """Run ``site_renditions`` in a child.

        Raises:
            UnreadableImage, DecodingFailed, DecoderUnavailable
        """
        result = self._ask(_RENDITIONS, {"fast": fast}, data)
        return dict(zip(Rendition, result.blobs, strict=True))

    def centre(self, data: bytes, preprocessing: Preprocessing) -> Pixels:
        """Run ``decode`` in a child, on a file that is not a stored rendition.

        Raises:
            UnreadableImage, DecodingFailed, DecoderUnavailable
        """
        result = self._ask(_CENTRE, dataclasses.asdict(preprocessing), data)
        side = preprocessing.input_px
        return np.frombuffer(result.blobs[0], np.uint8).reshape(side, side, 3)

    def facts(self, photo: bytes) -> Facts:
        """Run ``facts_of`` in a child.

        Raises:
            DecodingFailed, DecoderUnavailable
        """
        return Facts(**self._ask(_FACTS, {}, photo).result)

    def explained_photo(self, data: bytes, preprocessing: Preprocessing) -> ExplainedPhoto:
        """Run ``explained_photo`` in a child.

        Raises:
            UnreadableImage, DecodingFailed, DecoderUnavailable
        """
        result = self._ask(_EXPLAINED_PHOTO, dataclasses.asdict(preprocessing), data)
        photo, squares = (
            np.frombuffer(blob, np.uint8).reshape(shape)
            for blob, shape in zip(result.blobs, result.result["shapes"], strict=True)
        )
        return ExplainedPhoto(photo, squares)

    def _ask(self, work: str, arguments: Mapping[str, Any], data: bytes) -> Reply:
        """Run ``work`` on one photo in a child; raise the error if it fails."""
        (reply,) = self._pool.run(work, arguments, [[data]])
        result = _result(reply)
        if isinstance(result, CheckerError):
            raise result
        return result


@contextmanager
def isolated_decoder(children: int, limits: Limits) -> Iterator[IsolatedDecoder]:
    """Make a decoder with its own fork server and pool, and end both after the block."""
    server = ForkServer(WORKS, limits.memory_bytes)
    pool = ChildPool(server, children=children, limits=limits)
    try:
        server.start()
        yield IsolatedDecoder(pool)
    finally:
        pool.close()
        server.close()


def make_inputs(arguments: Mapping[str, Any], item: Sequence[bytes]) -> Result:
    """Make the model inputs of a photo; runs in a child."""
    try:
        pixels = model_inputs(dict(zip(Rendition, item, strict=True)), Preprocessing(**arguments))
    except UnreadableImage as error:
        return {"unreadable": str(error)}, []
    return {}, [pixels.data.cast("B")]


def make_renditions(arguments: Mapping[str, Any], item: Sequence[bytes]) -> Result:
    """Make a file's two renditions; runs in a child."""
    try:
        renditions = site_renditions(item[0], **arguments)
    except UnreadableImage as error:
        return {"unreadable": str(error)}, []
    return {}, [renditions[rendition] for rendition in Rendition]


def make_centre(arguments: Mapping[str, Any], item: Sequence[bytes]) -> Result:
    """Make the centre square of a file; runs in a child."""
    try:
        pixels = decode(item[0], Preprocessing(**arguments), is_stored=False)
    except UnreadableImage as error:
        return {"unreadable": str(error)}, []
    return {}, [pixels.data.cast("B")]


def make_facts(_arguments: Mapping[str, Any], item: Sequence[bytes]) -> Result:
    """Measure a stored photo; runs in a child."""
    return dataclasses.asdict(facts_of(item[0])), []


def make_explained_photo(arguments: Mapping[str, Any], item: Sequence[bytes]) -> Result:
    """Decode a photo for its explanation; runs in a child."""
    try:
        decoded = explained_photo(item[0], Preprocessing(**arguments))
    except UnreadableImage as error:
        return {"unreadable": str(error)}, []
    pixels = [np.ascontiguousarray(part) for part in decoded]
    return {"shapes": [part.shape for part in pixels]}, [part.data.cast("B") for part in pixels]


def _result(reply: Reply | CheckerError) -> Reply | CheckerError:
    if isinstance(reply, Reply) and "unreadable" in reply.result:
        return UnreadableImage(reply.result["unreadable"])
    return reply
