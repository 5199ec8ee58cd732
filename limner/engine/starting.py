"""How an engine comes up: what is loaded, in which order, and what it says meanwhile.

No torch is imported until the engine's own thread runs this, so that a server's port answers at
once and the terminal can say what takes the time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from limner import machine

if TYPE_CHECKING:
    from limner.engine.checkpoints.prediction import Wish
    from limner.engine.sampling.runner import Runner

Say = Callable[[str], None]


def loader(
    model: Path | None = None,
    *,
    vae: Path | None = None,
    wish: Wish | None = None,
    device: str = "auto",
    dtype: str = "auto",
    knee_file: Path | None = None,
    max_rows: int | None = None,
    prompt_cache_bytes: int = 128 << 20,
) -> Callable[[Say], Runner]:
    """The ``load`` argument of ``ThreadEngine`` for a checkpoint.

    ``max_rows`` skips the measurement of how many rows run well together; ``knee_file``
    remembers it between starts.
    """

    def load(say: Say) -> Runner:
        say("importing PyTorch")
        import torch

        from limner.engine.checkpoints import weights
        from limner.engine.checkpoints.prediction import AS_TOLD
        from limner.engine.sampling import throughput
        from limner.engine.sampling.runner import Runner

        # It knows the cores it may run on, not the share of their time.
        torch.set_num_threads(min(torch.get_num_threads(), machine.cores()))
        say(f"loading {model.name if model else 'the embedded model'}")
        checkpoint = weights.load(model, vae=vae, wish=wish or AS_TOLD, device=device, dtype=dtype)
        rows = max_rows
        if rows is None:
            say("finding how many rows run well together (measured once per model and machine)")
            rows = throughput.remembered(checkpoint, knee_file)
        return Runner(checkpoint, max_rows=rows, cache_bytes=prompt_cache_bytes)

    return load
