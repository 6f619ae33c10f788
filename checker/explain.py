"""Explanations: Grad-CAM (arXiv 1610.02391) as a heat map over the photo.

Not part of a check: each call builds its own torch model.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from checker.decision.head import Head
from checker.decision.subject import Subject
from checker.errors import ModelRefused
from checker.pixels.explained_photo import ExplainedPhoto, explained_photo
from checker.pixels.frame import end_squares
from checker.upright import rotate
from checker.values import Floats, Pixels
from models.catalogue import Entry
from models.errors import ModelsError

_HOTTEST_LOG_ODDS = 4.0
"""The lowest log-odds that can get the hottest colour. The heat of a place is the log-odds of a photo that
looks like this place everywhere. Lite0 gives 13 to 30 on cats and below 1.5 on other things; scaled to their
own maximum, the other things would glow too."""

_COLOURS = ((30, 10, 70), (120, 30, 120), (205, 60, 80), (250, 145, 30), (255, 240, 120))
"""Dark violet to light yellow. The lightness rises throughout, for readers without colour vision."""
_OPACITY = 0.72


def heat_maps(
    entry: Entry, path: Path, squares: Pixels, subject: Subject, head: Head | None = None
) -> Floats:
    """Compute how much each part of K model inputs adds to the subject's log-odds.

    Grad-CAM on the feature map of the last convolution. All models here pool that map before they classify,
    so its gradient is the same at every place and needs no backward pass through convolutions.

    Args:
        squares: uint8 ``(K, S, S, 3)``, as ``decode_squares`` returns them.
        head: head of the profile that decides; None: use the log-odds alone.

    Returns:
        float32 ``(K, S, S)``, 0..1, on one scale; near 0 everywhere if the photo does not show the subject.
    Raises:
        ModelRefused: the weights differ from the catalogue's, or the model has no feature map.
    """
    import torch
    from torch.nn import functional

    from models.architectures.torchvision_models import VisionTransformer
    from models.build import build

    try:
        model: Any = build(entry, path)
    except ModelsError as error:
        raise ModelRefused(str(error)) from error
    if isinstance(model, VisionTransformer):
        raise ModelRefused(f"{entry.name} has no feature map, so its verdicts can't be explained.")
    torch.set_num_threads(1)  # for calls from this thread; more would compete with the checking threads
    scale = entry.preprocessing.scale
    mean, std = (
        torch.tensor(channels).view(1, 3, 1, 1)
        for channels in (entry.preprocessing.mean, entry.preprocessing.std)
    )
    with torch.inference_mode():
        maps = model.feature_map((torch.from_numpy(squares).permute(0, 3, 1, 2) / scale - mean) / std)
    maps = maps.clone()

    features = maps.mean(dim=(2, 3)).requires_grad_()
    logits = model.classify(features)
    of_subject = torch.zeros(logits.shape[-1], dtype=torch.bool)
    of_subject[list(subject.classes)] = True
    log_odds = logits[:, of_subject].logsumexp(-1) - logits[:, ~of_subject].logsumexp(-1)
    (weights,) = torch.autograd.grad(log_odds.sum(), features)
    if head is not None:
        weights = weights * head.window.mass
        if head.window.features is not None:
            weights = weights + torch.from_numpy(head.window.features).float()
    heat = torch.einsum("kc,kchw->khw", weights, maps).relu()
    heat = functional.interpolate(heat[:, None], squares.shape[1:3], mode="bicubic", align_corners=False)
    heat = heat[:, 0].relu()
    result: Floats = (heat / heat.max().clamp_min(_HOTTEST_LOG_ODDS)).numpy()
    return result


def explain(
    entry: Entry,
    path: Path,
    data: bytes,
    subject: Subject,
    head: Head | None = None,
    *,
    turned_deg: int = 0,
) -> bytes:
    """Draw ``explanation`` as a PNG."""
    buffer, explained = io.BytesIO(), explained_photo(data, entry.preprocessing)
    explanation(entry, path, explained, subject, head, turned_deg=turned_deg).save(buffer, "PNG")
    return buffer.getvalue()


def explanation(
    entry: Entry,
    path: Path,
    explained: ExplainedPhoto,
    subject: Subject,
    head: Head | None = None,
    *,
    turned_deg: int = 0,
) -> Image.Image:
    """Draw the photo, as it lies, with heat over the parts that the model saw.

    Args:
        path: the weights.
        explained: the photo as it was checked, decoded for this entry.
        head: see ``heat_maps``.
        turned_deg: see ``Decision.turned_deg``.

    Raises:
        ModelRefused: the weights differ from the catalogue's.
    """
    photo = Image.fromarray(explained.photo)
    frame = end_squares(*photo.size, entry.preprocessing)
    quarters = turned_deg // 90
    maps = heat_maps(entry, path, rotate(explained.squares, quarters), subject, head)
    return overlay(photo, frame.put_back(np.rot90(maps, quarters, axes=(1, 2))))


def overlay(photo: Image.Image, heat: Floats) -> Image.Image:
    """Paint ``heat``, float32 ``(h, w)`` for the whole photo, over the photo.

    Cold areas stay unchanged; in warm areas the photo shows through the colour.
    """
    resized = Image.fromarray((heat * 255).astype(np.uint8)).resize(photo.size, Image.Resampling.BICUBIC)
    strength = np.asarray(resized, dtype=np.float32)[..., None] / 255
    steps = np.linspace(0, 1, len(_COLOURS))
    channels = zip(*_COLOURS, strict=True)
    colour = np.stack([np.interp(strength[..., 0], steps, channel) for channel in channels], axis=-1)
    alpha = _OPACITY * strength**0.8
    return Image.fromarray((np.asarray(photo) * (1 - alpha) + colour * alpha).astype(np.uint8))
