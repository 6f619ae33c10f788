"""ResNet 18 to 152, with the parameter names of torchvision, whose files contain the weights.

``resnet50_v1`` is the original of the paper (arXiv 1512.03385): its stages have the stride on the first 1x1
convolution.

torchvision's modules are not used, because importing torchvision takes as long as importing torch, and its
version must match torch's exactly. Tests prove that both give the same outputs.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from models.architectures.windows import windowed
from models.catalogue import CLASSES

_DEPTHS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet50_v1": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class _Basic(nn.Module):
    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class _Bottleneck(nn.Module):
    expansion = 4
    # The stride is on the 3x3 convolution ("v1.5"), as in torchvision's published weights.
    stride_is_on_3x3 = True

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        stride_1x1, stride_3x3 = (1, stride) if self.stride_is_on_3x3 else (stride, 1)
        self.conv1 = _conv(inputs, width, 1, stride_1x1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, stride_3x3)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv(width, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = functional.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class _BottleneckV1(_Bottleneck):
    stride_is_on_3x3 = False


def _block(name: str) -> type[_Basic | _Bottleneck]:
    if name in ("resnet18", "resnet34"):
        return _Basic
    return _BottleneckV1 if name == "resnet50_v1" else _Bottleneck


class ResNet(nn.Module):
    """``forward`` maps ``(N, 3, H, W)`` to features ``(N, WINDOWS, C)`` and logits ``(N, WINDOWS, 1000)``.

    C is 512 up to ResNet-34, then 2048.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        block = _block(name)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for number, depth in enumerate(_DEPTHS[name]):
            width = 64 << number
            blocks = []
            for repeat in range(depth):
                stride = 2 if number and repeat == 0 else 1
                blocks.append(block(inputs, width, stride))
                inputs = width * block.expansion
            setattr(self, f"layer{number + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, CLASSES)

    def feature_map(self, x: Tensor) -> Tensor:
        """Compute the last feature map, ``(N, 512 or 2048, h, w)``."""
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        x = functional.max_pool2d(x, 3, 2, padding=1)
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        return x

    def classify(self, features: Tensor) -> Tensor:
        """Compute the logits of features averaged over a window, ``(..., 512 or 2048)``."""
        logits: Tensor = self.fc(features)
        return logits

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = windowed(self.feature_map(x))
        return features, self.classify(features)
