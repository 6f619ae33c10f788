"""Explanations: Grad-CAM (arXiv 1610.02391) as a heat map over the photo.

Outside the checking path: each call builds a torch model of its own.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from torch import Tensor, nn

MAX_EDGE_PX = 1280
"""Longer edge of the explanation. A PNG of this size takes 1 to 2 MB."""

# The module before the pooling (in Lite, before its ReLU too) and the linear layer after it.
_RESNET = ("layer4", "fc")
_LITE = ("_bn1", "_fc")

_HOTTEST_LOG_ODDS = 4.0
"""Log-odds of a photo that looks everywhere like this place; lower ones never get the hottest colour. Lite0
gives 13 to 30 on cats and below 1.5 on other things, which would glow too if scaled to their own maximum."""

_COLOURS = ((30, 10, 70), (120, 30, 120), (205, 60, 80), (250, 145, 30), (255, 240, 120))
"""Dark violet to light yellow. The lightness rises throughout, for readers without colour vision."""
_OPACITY = 0.72
_DIMMED = 0.4
_FRAME = (255, 255, 255, 150)


def heat_map(entry: Entry, path: Path, pixels: Pixels, subject: Subject, head: Head | None = None) -> Floats:
    """Compute the share of each part of a model input in the subject's log-odds.

    Grad-CAM on the feature map of the last convolution. All models here pool that map before they classify,
    so that its gradient is the same at every place and needs no backward pass through convolutions.

    Args:
        pixels: uint8 ``(H, W, 3)``, as ``decode`` returns them.
        head: head of the profile that decides; None: the log-odds alone.

    Returns:
        float32 ``(H, W)``, 0..1; near 0 everywhere if the photo does not show the subject.
    Raises:
        ModelRefused: the weights differ from the catalogue's, or the model has no feature map.
    """
    import torch
    from torch.nn import functional

    from models.build import build

    try:
        model = build(entry, path)
    except ModelsError as error:
        raise ModelRefused(str(error)) from error
    torch.set_num_threads(1)  # in this thread only; more of them would compete with the checking threads
    scale = entry.preprocessing.scale
    mean, std = (
        torch.tensor(channels).view(1, 3, 1, 1)
        for channels in (entry.preprocessing.mean, entry.preprocessing.std)
    )
    inputs = (torch.from_numpy(pixels).permute(2, 0, 1)[None] / scale - mean) / std
    maps, classify = _map_and_classifier(entry, model, inputs)

    features = maps.mean(dim=(1, 2)).requires_grad_()
    logits = classify(features[None])[0]
    of_subject = torch.zeros(len(logits), dtype=torch.bool)
    of_subject[list(subject.classes)] = True
    log_odds = logits[of_subject].logsumexp(0) - logits[~of_subject].logsumexp(0)
    (weights,) = torch.autograd.grad(log_odds, features)
    if head is not None:
        weights = weights * sum(head.mass)
        if head.features is not None:
            weights = weights + torch.from_numpy(head.features).float()
    heat = torch.einsum("c,chw->hw", weights, maps).relu()
    heat = functional.interpolate(heat[None, None], pixels.shape[:2], mode="bicubic", align_corners=False)
    heat = heat[0, 0].relu()
    result: Floats = (heat / heat.max().clamp_min(_HOTTEST_LOG_ODDS)).numpy()
    return result


def _map_and_classifier(
    entry: Entry, model: nn.Module, inputs: Tensor
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return the last feature map of one input, (C, h, w), and what makes logits of its mean, (N, C)."""
    import torch
    from torch.nn import functional

    from models.torchvision_models import ConvolutionalModel, VisionTransformer

    if isinstance(model, VisionTransformer):
        raise ModelRefused(f"{entry.name} has no feature map, so its verdicts can't be explained.")
    if isinstance(model, ConvolutionalModel):
        with torch.inference_mode():
            feature_map = model.feature_map(inputs)
        return feature_map[0].clone(), model.classify
    is_resnet = entry.architecture.startswith("resnet")
    last, linear = (model.get_submodule(name) for name in (_RESNET if is_resnet else _LITE))
    outputs: list[Tensor] = []
    last.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    with torch.inference_mode():
        model(inputs)
    return (outputs[0] if is_resnet else functional.relu6(outputs[0]))[0].clone(), linear


def explain(entry: Entry, path: Path, data: bytes, subject: Subject, head: Head | None = None) -> bytes:
    """Draw ``explanation`` as a PNG."""
    buffer = io.BytesIO()
    explanation(entry, path, data, subject, head).save(buffer, "PNG")
    return buffer.getvalue()


def explanation(
    entry: Entry, path: Path, data: bytes, subject: Subject, head: Head | None = None
) -> Image.Image:
    """Draw the photo with heat over the part that the model saw, and the rest dimmed.

    Args:
        path: the weights.
        data: the encoded photo, as it was checked.
        head: see ``heat_map``.

    Raises:
        UnreadableImage: as ``decode`` does.
        ModelRefused: the weights differ from the catalogue's.
    """
    # Cropped as the thumbnail, the whole centre square: it covers all that the model saw of both renditions.
    preprocessing = preprocessing_of(Rendition.THUMBNAIL, entry.preprocessing)
    heat = heat_map(entry, path, decode(data, preprocessing), subject, head)
    return overlay(upright(data), heat, preprocessing)


def upright(data: bytes) -> Image.Image:
    """Decode the whole photo, its longer edge at most ``MAX_EDGE_PX``."""
    with opened(data) as image:
        image.draft(None, (MAX_EDGE_PX, MAX_EDGE_PX))
        image.load()
        photo = to_rgb(image)
        photo.thumbnail((MAX_EDGE_PX, MAX_EDGE_PX), Image.Resampling.LANCZOS)
        return turned(photo, orientation_of(image))


def overlay(photo: Image.Image, heat: Floats, preprocessing: Preprocessing) -> Image.Image:
    """Paint ``heat``, which covers the model's crop, over the whole photo.

    Cold places show the photo unchanged, and warm ones through the colour.
    """
    left, top, right, bottom = (round(edge) for edge in crop_box(*photo.size, preprocessing))
    box = (left, top, max(right, left + 1), max(bottom, top + 1))
    size = (box[2] - box[0], box[3] - box[1])
    resized = Image.fromarray((heat * 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    strength = np.asarray(resized, dtype=np.float32)[..., None] / 255
    steps = np.linspace(0, 1, len(_COLOURS))
    channels = zip(*_COLOURS, strict=True)
    colour = np.stack([np.interp(strength[..., 0], steps, channel) for channel in channels], axis=-1)
    crop = np.asarray(photo.crop(box), dtype=np.float32)
    alpha = _OPACITY * strength**0.8
    mixed = Image.fromarray((crop * (1 - alpha) + colour * alpha).astype(np.uint8))
    result = photo.point(lambda value: value * _DIMMED)
    result.paste(mixed, box[:2])
    frame = (box[0], box[1], box[2] - 1, box[3] - 1)
    ImageDraw.Draw(result, "RGBA").rectangle(frame, outline=_FRAME, width=max(1, min(photo.size) // 300))
    return result
