"""The adapters of one model that are in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from limner.domain.loras import Lora
from limner.engine.adapters.keeping import Resident
from limner.engine.adapters.reading import Adapter, load
from limner.engine.adapters.rows import Use, Uses
from limner.engine.adapters.targets import TEXT, UNET, Targets, targets_of
from limner.engine.checkpoints.weights import Checkpoint
from limner.errors import CheckpointError

Find = Callable[[str], Path]
"""Where the file of a SHA-256 lies. Raises ``CheckpointError`` where there is none."""


LORAS_BYTES = 512 << 20
"""What LoRAs of one model may take."""


def find_nothing(sha256: str) -> Path:
    """For an engine without a library."""
    raise CheckpointError(f"this engine knows no file of SHA-256 {sha256[:12]}...")


class Adapters(Resident[Lora, Adapter]):
    """Adapters for the model of ``targets``, read where they are first asked for; for any thread.

    ``targets`` is asked once, when the first one is read. ``places`` are the devices and number
    types of the parts.
    """

    def __init__(
        self,
        find: Find,
        targets: Callable[[], Targets],
        places: Mapping[str, tuple[torch.device, torch.dtype]],
        capacity: int = LORAS_BYTES,
    ) -> None:
        def read(lora: Lora) -> Adapter:
            return load(find(lora.sha256), targets(), places)

        super().__init__("loras", read, capacity)

    def uses(self, loras: Sequence[Lora], part: str) -> Uses:
        """What these say of one part, at their strengths, whenever they are on."""
        strength = {lora: getattr(lora, part) for lora in loras}
        return tuple(Use(self.get(lora), strength[lora]) for lora in loras if strength[lora])


def adapters_of(
    checkpoint: Checkpoint, unet: Callable[[], nn.Module], find: Find, capacity: int = LORAS_BYTES
) -> Adapters:
    """Those for a loaded checkpoint; ``unet`` gives its UNet with nothing pruned from it."""
    parts = {UNET: checkpoint.unet, TEXT: checkpoint.text_encoder}
    weights = {name: next(part.parameters()) for name, part in parts.items()}
    places = {name: (weight.device, weight.dtype) for name, weight in weights.items()}
    return Adapters(find, lambda: targets_of(unet(), checkpoint.text_encoder), places, capacity)
