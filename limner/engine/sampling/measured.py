"""A runner that finds out itself how many rows run well together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from limner.engine.adapters.resident import Find
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
    ) -> None:
        super().__init__(checkpoint, max_rows=throughput.ROWS_TRIED[0], caches=caches, find=find)
        self._knee_file, self._say = knee_file, say

    def begin(self) -> None:
        self._say(
            "finding how many rows run well together (measured once per kind of UNet and machine)"
        )
        self.max_rows = throughput.remembered(self.checkpoint, self._knee_file)
