"""A runner that finds out itself how many rows run well together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from limner.engine.adapters.resident import LORAS_BYTES, Find
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling import throughput
from limner.engine.sampling.conditioning import Caches
from limner.engine.sampling.runner import Runner


class MeasuredRunner(Runner):
    """``knee_file`` remembers between starts; ``say`` tells that it is being measured."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        caches: Caches,
        knee_file: Path | None,
        say: Callable[[str], None],
        find: Find,
        loras_bytes: int = LORAS_BYTES,
    ) -> None:
        own: dict[str, Any] = {"caches": caches, "find": find, "loras_bytes": loras_bytes}
        super().__init__(checkpoint, max_rows=throughput.ROWS_TRIED[0], **own)
        self._knee_file, self._say = knee_file, say

    def begin(self) -> None:
        self._say(
            "finding how many rows run well together (measured once per kind of UNet and machine)"
        )
        self.max_rows = throughput.remembered(self.checkpoint, self._knee_file)
