"""Prepack the weights of convolutions: reorder them once for oneDNN's kernels, not in each forward pass.

torch keeps weights in plain order, and oneDNN reorders them in every pass. In passes of two inputs, this
takes a tenth (bf16) to a fifth (fp32) of ResNet-50's time, and two fifths of EfficientNet-Lite0's in fp32.

The operators are private to torch (``torch.compile`` packs with them), so a release may drop or change
them. ``pack`` then leaves the model unchanged, with the same outputs at the lower speed, and logs that at
debug level.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor, nn

from models.architectures.efficientnet_lite import SameConv2d, same_padded

logger = logging.getLogger(__name__)


class _PackedConv2d(nn.Module):
    def __init__(self, plain: nn.Conv2d, input_size: list[int]) -> None:
        super().__init__()
        self._same = (plain.kernel_size[0], plain.stride[0]) if isinstance(plain, SameConv2d) else None
        self._geometry: Any = (list(plain.padding), list(plain.stride), list(plain.dilation), plain.groups)
        self._bias = plain.bias
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(plain.weight, *self._geometry, input_size)

    def forward(self, x: Tensor) -> Tensor:
        if self._same is not None:
            x = same_padded(x, *self._same)
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._weight, self._bias, *self._geometry, "none", [], ""
        )
        return result


@torch.inference_mode()
def pack(model: nn.Module, example: Tensor) -> bool:
    """Replace the convolutions in place; for inference on the CPU only.

    Args:
        example: a batch of the expected shape, layout and precision; other shapes work, but slower.

    Returns:
        False if this torch or this processor can't pack them: the model is unchanged.
    """
    sizes: dict[nn.Module, list[int]] = {}

    def record_size(layer: nn.Module, inputs: tuple[Tensor], _output: Tensor) -> None:
        sizes[layer] = list(inputs[0].shape)

    plain = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    hooks = [layer.register_forward_hook(record_size) for layer in plain]
    model(example)
    for hook in hooks:
        hook.remove()
    try:
        packed = {layer: _PackedConv2d(layer, sizes[layer]) for layer in plain}
        packed[plain[0]](example)
    except (AttributeError, RuntimeError) as error:
        logger.debug("the convolutions are not packed, so torch is slower: %s", error)
        return False
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                setattr(parent, name, packed[child])
    return True
