"""Models that torchvision builds, with its parameter names; ``forward`` returns features and logits.

torchvision is imported only when one of these models is built.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.architectures.windows import windowed
from models.errors import PackageMissing

CONVOLUTIONAL = ("convnext_tiny", "efficientnet_v2_s", "mobilenet_v3_large", "regnet_y_1_6gf")
TRANSFORMERS = ("vit_b_16",)


def torchvision_model(name: str) -> nn.Module:
    """Build one of these models with random weights.

    Raises:
        PackageMissing: torchvision is not installed, or does not fit torch.
    """
    return VisionTransformer(name) if name in TRANSFORMERS else ConvolutionalModel(name)


class ConvolutionalModel(nn.Module):
    """A feature map, its mean over all positions, and a classifier of that mean.

    ``forward`` maps ``(N, 3, H, W)`` to features ``(N, WINDOWS, C)`` and logits ``(N, WINDOWS, 1000)``.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        for part, module in _built(name).named_children():
            self.add_module(part, module)
        self._parts = ("stem", "trunk_output") if hasattr(self, "stem") else ("features",)
        self._classifier = "fc" if hasattr(self, "fc") else "classifier"
        self._takes_a_map = name.startswith("convnext")  # its classifier begins with a norm over channels

    def feature_map(self, x: Tensor) -> Tensor:
        """Compute the last feature map, (N, C, h, w)."""
        for part in self._parts:
            x = self.get_submodule(part)(x)
        return x

    def classify(self, features: Tensor) -> Tensor:
        """Compute the logits of features averaged over a window, ``(..., C)``."""
        classifier = self.get_submodule(self._classifier)
        if self._takes_a_map:
            each = features.flatten(0, -2)[..., None, None]
            logits: Tensor = classifier(each).unflatten(0, features.shape[:-1])
        else:
            logits = classifier(features)
        return logits

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = windowed(self.feature_map(x))
        return features, self.classify(features)


class VisionTransformer(nn.Module):
    """A transformer over patches. Its features are those of the class token: there is no map to pool.

    ``forward`` maps ``(N, 3, 224, 224)`` to features ``(N, 1, 768)`` and logits ``(N, 1, 1000)``.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        model = _built(name)
        self.class_token = model.class_token
        for part, module in model.named_children():
            self.add_module(part, module)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # shape[0], not len(): that would fix the batch size when the model is exported.
        patches = self.get_submodule("conv_proj")(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(patches.shape[0], -1, -1), patches], dim=1)
        features = self.get_submodule("encoder")(tokens)[:, :1]
        return features, self.get_submodule("heads")(features)


def _built(name: str) -> Any:
    try:
        from torchvision.models import get_model
    # RuntimeError: torchvision was built for another torch, so its operators are missing.
    except (ImportError, RuntimeError) as error:
        raise PackageMissing(
            f"Model {name} needs torchvision in the version that belongs to torch; "
            "`pip install 'catloader[torchvision]'` installs it."
        ) from error
    return get_model(name, weights=None)
