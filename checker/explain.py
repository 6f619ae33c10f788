"""Where in a photo the evidence lies: Grad-CAM (arXiv 1610.02391) as heat over the photo.

For people who ask why. Never in the checking path: it builds a network of its own for each call.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from checker.decision.head import Head
from checker.decision.subject import Subject
from checker.errors import ModelRefused
from checker.pixels.colour import to_rgb
from checker.pixels.crop import crop_box, preprocessing_of
from checker.pixels.decode import decode
from checker.pixels.opening import opened
from checker.pixels.orientation import orientation_of, turned
from checker.values import Floats, Pixels, Rendition
from models.catalogue import Entry, Preprocessing
from models.errors import ModelsError

MAX_EDGE_PX = 1280
"""Of the overlay. A PNG of this size takes 1 to 2 MB."""

# The module before the average (with its ReLU still to come in Lite) and the linear layer after it.
_RESNET = ("layer4", "fc")
_LITE = ("_bn1", "_fc")

_WARM = 4.0
"""In log-odds, if the whole picture were like this place: what is less never gets the hottest colour. Lite0
gives 13 to 30 on cats and below 1.5 on other things; scaled to their own maximum, those would glow too."""

_COLOURS = ((30, 10, 70), (120, 30, 120), (205, 60, 80), (250, 145, 30), (255, 240, 120))
"""Dark violet to light yellow: lightness rises all the way, so that it reads without colour vision too."""
_OPACITY = 0.72
_DIMMED = 0.4
_FRAME = (255, 255, 255, 150)


def heat_map(entry: Entry, path: Path, pixels: Pixels, subject: Subject, head: Head | None = None) -> Floats:
    """How much each part of one network input raises the subject's log-odds.

    Grad-CAM on the last convolution's map. Every network of ours averages that map and multiplies it
    by a matrix, so that the gradient is the same everywhere and needs no pass backwards through the
    convolutions.

    Args:
        pixels: uint8 ``(H, W, 3)``, as ``decode`` gives them.
        head: of the profile that decides; None: the log-odds alone.

    Returns:
        float32 ``(H, W)``, 0..1; stays near 0 everywhere where nothing speaks for the subject.
    Raises:
        ModelRefused: the weights do not hold.
    """
    import torch
    from torch import Tensor
    from torch.nn import functional

    from models.build import build

    try:
        network = build(entry, path)
    except ModelsError as error:
        raise ModelRefused(str(error)) from error
    torch.set_num_threads(1)  # of this thread only: several in one forward wait for the checking ones
    is_resnet = entry.architecture.startswith("resnet")
    last, linear = (network.get_submodule(name) for name in (_RESNET if is_resnet else _LITE))
    seen: list[Tensor] = []
    last.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    way = entry.preprocessing
    mean, std = (torch.tensor(triple).view(1, 3, 1, 1) for triple in (way.mean, way.std))
    with torch.inference_mode():
        network((torch.from_numpy(pixels).permute(2, 0, 1)[None] / way.scale - mean) / std)
    maps = (seen[0] if is_resnet else functional.relu6(seen[0]))[0].clone()

    features = maps.mean(dim=(1, 2)).requires_grad_()
    logits = linear(features)
    wanted = torch.zeros(len(logits), dtype=torch.bool)
    wanted[list(subject.classes)] = True
    log_odds = logits[wanted].logsumexp(0) - logits[~wanted].logsumexp(0)
    (weights,) = torch.autograd.grad(log_odds, features)
    if head is not None:
        weights = weights * sum(head.mass)
        if head.features is not None:
            weights = weights + torch.from_numpy(head.features).float()
    heat = torch.einsum("c,chw->hw", weights, maps).relu()
    heat = functional.interpolate(heat[None, None], pixels.shape[:2], mode="bicubic", align_corners=False)
    heat = heat[0, 0].relu()
    result: Floats = (heat / heat.max().clamp_min(_WARM)).numpy()
    return result


def explain(entry: Entry, path: Path, data: bytes, subject: Subject, head: Head | None = None) -> bytes:
    """A PNG: the photo, heat over what the network saw of it, the rest dimmed.

    Args:
        data: the encoded photo, as the checker judged it.

    Raises:
        UnreadableImage: as ``decode`` does.
        ModelRefused: the weights do not hold.
    """
    out = io.BytesIO()
    explained(entry, path, data, subject, head).save(out, "PNG")
    return out.getvalue()


def explained(
    entry: Entry, path: Path, data: bytes, subject: Subject, head: Head | None = None
) -> Image.Image:
    """As ``explain``, not yet encoded."""
    # The thumbnail's framing, the centre square to its edges: all that either view shows the network.
    framing = preprocessing_of(Rendition.THUMBNAIL, entry.preprocessing)
    heat = heat_map(entry, path, decode(data, framing), subject, head)
    return overlay(upright(data), heat, framing)


def upright(data: bytes) -> Image.Image:
    """The whole photo, its longer edge at most ``MAX_EDGE_PX``."""
    with opened(data) as image:
        image.draft(None, (MAX_EDGE_PX, MAX_EDGE_PX))
        image.load()
        photo = to_rgb(image)
        photo.thumbnail((MAX_EDGE_PX, MAX_EDGE_PX), Image.Resampling.LANCZOS)
        return turned(photo, orientation_of(image))


def overlay(photo: Image.Image, heat: Floats, preprocessing: Preprocessing) -> Image.Image:
    """``heat`` (of the network's crop) in the coordinates of the whole photo.

    Cold places keep the photo as it is: what is seen through the colour is the colour's reason.
    """
    left, top, right, bottom = (round(edge) for edge in crop_box(*photo.size, preprocessing))
    box = (left, top, max(right, left + 1), max(bottom, top + 1))
    size = (box[2] - box[0], box[3] - box[1])
    warmth = Image.fromarray((heat * 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    strength = np.asarray(warmth, dtype=np.float32)[..., None] / 255
    steps = np.linspace(0, 1, len(_COLOURS))
    channels = zip(*_COLOURS, strict=True)
    colour = np.stack([np.interp(strength[..., 0], steps, channel) for channel in channels], axis=-1)
    seen = np.asarray(photo.crop(box), dtype=np.float32)
    alpha = _OPACITY * strength**0.8
    mixed = Image.fromarray((seen * (1 - alpha) + colour * alpha).astype(np.uint8))
    result = photo.point(lambda value: value * _DIMMED)
    result.paste(mixed, box[:2])
    frame = (box[0], box[1], box[2] - 1, box[3] - 1)
    ImageDraw.Draw(result, "RGBA").rectangle(frame, outline=_FRAME, width=max(1, min(photo.size) // 300))
    return result
