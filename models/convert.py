"""Convert a model from torch to OpenVINO, in fp32.

The input is a decoded photo (uint8, NHWC, RGB): the normalisation is part of the graph. The outputs are
logits and pooled features.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.catalogue import Entry, Preprocessing
from models.errors import OptimiseFailed
from models.openvino_package import prepare_import

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# torch and OpenVINO sum float32 in different orders, so logits differ by 1e-6 of the largest. Any mistake
# causes more than 1e-2.
_TOLERANCE = 1e-3
_PROBES = 4


def import_package(name: str) -> Any:
    """Import a package that is needed only to make variants.

    Raises:
        OptimiseFailed: the package is not installed.
    """
    prepare_import()
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise OptimiseFailed(
            f"This needs {name}, which is not installed; `pip install 'catloader[optimise]'` installs it."
        ) from error


def convert(openvino: Any, entry: Entry, path: Path) -> Any:
    """Convert from torch: uint8 NHWC in, float32 ``logits`` and ``features`` out.

    Raises:
        OptimiseFailed: the logits for noise differ from torch's.
    """
    import torch  # imported here, because making a variant from a recipe does not need torch
    from openvino.tools.ovc import convert_model  # not from openvino, which lacks it in a serving process

    from models.build import build

    preprocessing = entry.preprocessing
    side = preprocessing.input_px
    module = build(entry, path)
    # Two inputs: with one, torch.export would treat the batch size as a constant.
    example = torch.zeros(2, 3, side, side)
    any_batch = ({0: torch.export.Dim("inputs", min=1, max=4096)},)
    model = convert_model(torch.export.export(module, (example,), dynamic_shapes=any_batch))
    model.reshape([-1, 3, side, side])
    for output, name in zip(model.outputs, ("features", "logits"), strict=True):
        output.tensor.set_names({name})
    model = _add_preprocessing(openvino, model, preprocessing)

    noise = np.random.default_rng(0).integers(0, 256, (_PROBES, side, side, 3), dtype=np.uint8)
    normalised = (noise / preprocessing.scale - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    with torch.inference_mode():
        expected = module(torch.from_numpy(normalised.astype(np.float32)).permute(0, 3, 1, 2))[1].numpy()
    difference = float(np.abs(logits_of(openvino, model, noise) - expected).max() / np.abs(expected).max())
    if not difference <= _TOLERANCE:
        raise OptimiseFailed(f"{entry.name} in OpenVINO differs from torch by {difference:.1%} of a logit.")
    return model


def _add_preprocessing(openvino: Any, model: Any, preprocessing: Preprocessing) -> Any:
    steps = openvino.preprocess.PrePostProcessor(model)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    scale = preprocessing.scale
    normalise = steps.input().preprocess().convert_element_type(openvino.Type.f32)
    normalise.mean([scale * value for value in preprocessing.mean])
    normalise.scale([scale * value for value in preprocessing.std])
    return steps.build()


def logits_of(openvino: Any, model: Any, photos: Pixels) -> Floats:
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.concatenate([compiled([photo[np.newaxis]])["logits"] for photo in photos])
