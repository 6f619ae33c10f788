"""A variant to measure: one model in one runtime and precision, as a command line names it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from checker.errors import ModelRefused
from checker.ports import Classifier
from checker.runtimes.names import RUNTIME_PRECISIONS
from checker.runtimes.selection.load import load_classifier
from models.catalogue import Entry, default_weights_dir, resolve


@dataclass(frozen=True, slots=True)
class NamedVariant:
    """The names of a variant, not yet checked; ``load_classifier`` explains each."""

    model: str = "auto"
    runtime: str = "torch"
    precision: str = "auto"
    device: str = "cpu"
    decoder: str = "cpu"
    threads: int = 1
    weights_dir: Path = field(default_factory=default_weights_dir)

    def resolve(self) -> tuple[Entry, Path]:
        """Return the model's entry and weights.

        Raises:
            ModelRefused: there is no such runtime or precision; the message lists those that exist.
            ModelsError: there is no such model, or its weights are not on disk.
        """
        if self.runtime not in RUNTIME_PRECISIONS:
            names = ", ".join(RUNTIME_PRECISIONS)
            raise ModelRefused(f"there is no runtime {self.runtime!r}; the runtimes are {names}")
        precisions = ("auto", *RUNTIME_PRECISIONS[self.runtime])
        if self.precision not in precisions:
            raise ModelRefused(
                f"{self.runtime} has no precision {self.precision!r}; it has {', '.join(precisions)}"
            )
        entry, path = resolve(self.model, self.weights_dir)
        return entry.decoded_by(self.decoder), path

    def load(self) -> Classifier:
        """Load the model; takes seconds. Raises as ``resolve`` and ``load_classifier`` do."""
        entry, path = self.resolve()
        return load_classifier(
            entry,
            path,
            device=self.device,
            runtime=self.runtime,
            precision=self.precision,
            threads=self.threads,
            weights_dir=self.weights_dir,
        )

    def in_fp32(self) -> NamedVariant:
        """Return the variant of the same model that int8 is compared with."""
        return replace(self, runtime="torch", precision="fp32", device="cpu", decoder="cpu")
