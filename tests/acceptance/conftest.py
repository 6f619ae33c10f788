"""A trained ResNet-50 in every variant that this machine can run."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from catloader.cli import main
from tests.support import run_folder, weights


@pytest.fixture(scope="session")
def resnet_weights(trained_resnet: Path) -> Path:
    """A folder with the imported weights and their OpenVINO variants."""
    commands = [["import", str(trained_resnet)]]
    commands += [
        ["optimise", weights.ENTRY.name, "--precision", precision]
        for runtime, precision in weights.VARIANTS
        if runtime == "openvino"
    ]

    def make(folder: Path) -> None:
        # The commands run in this process, which needs torch and OpenVINO anyway.
        for command in commands:
            done = CliRunner().invoke(main, ["models", *command], env={"CATCHECK_WEIGHTS_DIR": str(folder)})
            assert done.exit_code == 0, done.output
            assert (command[0] == "import") <= ("for OpenVINO in int8 is in" in done.output)

    return run_folder.made_once(weights.ENTRY.name, make)
