"""How models come up: what is loaded, in which order, and what it says meanwhile.

No torch is imported until an engine's own thread runs this, so that a server's port answers at
once and the terminal can say what takes the time.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner import machine
from limner.engine.batching.models import Say, unknown
from limner.engine.batching.request import FIRST, Choice
from limner.engine.checkpoints import headers, ways
from limner.errors import CheckpointError, InvalidInput

if TYPE_CHECKING:
    from limner.engine.checkpoints.hosted import Hosted
    from limner.engine.checkpoints.prediction import Wish
    from limner.engine.checkpoints.weights import Checkpoint
    from limner.engine.sampling.conditioning import Caches
    from limner.engine.sampling.runner import Runner

Find = Callable[[str], Path | None]


def find_nothing(_sha256: str) -> None:
    """For an engine that has no other files than those it was given."""


class Loader:
    """Gives ``ThreadEngine`` its ``load``, ``size`` and ``stamp``.

    ``model``, with ``vae`` and ``wish``, is the first; None is the embedded one. Others are found
    by their SHA-256: ``find`` gives the path of a checkpoint, a VAE or an adapter, or None.
    ``max_rows`` skips the measurement of how many rows run well together; ``knee_file`` remembers
    it between starts. Encoded prompts of all models share ``prompt_cache_bytes``. Beside a GPU's
    memory models take ``host_bytes`` of the host's (0: none; None: half of what is free).
    LoRAs of each model take ``loras_bytes`` beside it.
    """

    def __init__(
        self,
        model: Path | None = None,
        *,
        vae: Path | None = None,
        wish: Wish | None = None,
        device: str = "auto",
        dtype: str = "auto",
        knee_file: Path | None = None,
        max_rows: int | None = None,
        prompt_cache_bytes: int = 128 << 20,
        host_bytes: int | None = None,
        loras_bytes: int = 512 << 20,
        find: Find = find_nothing,
    ) -> None:
        self._first = (model, vae, wish)
        self._device, self._dtype = device, dtype  # once the first is loaded, what was chosen
        self._knee_file, self._max_rows = knee_file, max_rows
        self._prompt_cache_bytes, self._find = prompt_cache_bytes, find
        self._host_bytes, self._loras_bytes = host_bytes, loras_bytes
        self.hosted: Hosted | None = None
        self._caches: Caches | None = None
        self._sizes: dict[Choice, int] = {}

    def load(self, say: Say, choice: Choice = FIRST) -> Runner:
        """The runner of a model. Raises ``CheckpointError`` for what cannot be loaded."""
        files = self._files(choice)
        self._prepare(say)
        if choice == FIRST:
            return self._load(say, choice, *files)
        try:
            return self._load(say, choice, *files)
        except CheckpointError as error:
            raise CheckpointError(_without_folders(error, files[:2])) from error

    def _load(
        self, say: Say, choice: Choice, model: Path | None, vae: Path | None, wish: Wish | None
    ) -> Runner:
        from limner.engine.checkpoints import layouts, weights
        from limner.engine.checkpoints.prediction import AS_TOLD

        say(f"loading {model.name if model else 'the embedded model'}")
        load = partial(weights.load, model, vae=vae, wish=wish or AS_TOLD)
        needs = partial(layouts.bytes_in_memory, model, vae, wish=wish or AS_TOLD)
        checkpoint = self._brought(choice, load, needs)
        info = checkpoint.info
        if choice.model not in ("", info.stored_sha256):
            raise CheckpointError(
                f"{info.path} has changed since it was listed; try again in a minute."
            )
        self._device, self._dtype = info.device, info.dtype
        return self._runner(checkpoint, say)

    def _brought(
        self, choice: Choice, load: Callable[..., Checkpoint], needs: Callable[..., int]
    ) -> Checkpoint:
        """From the file, or onto a GPU from the host's memory."""
        from limner.engine.checkpoints import probe
        from limner.engine.checkpoints.hosted import Hosted

        device = probe.choose_device(self._device)
        if self.hosted is None and device != "cpu" and self._host_bytes != 0:
            half = machine.available_memory() // 2
            self.hosted = Hosted(half if self._host_bytes is None else self._host_bytes)
        if self.hosted is None:
            return load(device=device, dtype=self._dtype)
        dtype = self._dtype = probe.choose_dtype(self._dtype, device)
        size = needs(dtype=dtype)
        return self.hosted.bring(choice, size, lambda on: load(device=on, dtype=dtype), device)

    def size(self, choice: Choice) -> int:
        """Bytes that a model takes in memory, by its headers.

        Raises ``InvalidInput`` for what is not there or cannot be drawn with.
        """
        if choice not in self._sizes:
            model, vae, wish = self._files(choice)
            from limner.engine.checkpoints import layouts
            from limner.engine.checkpoints.prediction import AS_TOLD

            try:
                self._sizes[choice] = layouts.bytes_in_memory(
                    model, vae, self._dtype, wish or AS_TOLD
                )
            except CheckpointError as error:
                raise InvalidInput("model", _without_folders(error, (model, vae))) from error
        return self._sizes[choice]

    def stamp(self, choice: Choice) -> str:
        """Where a model's files lie, with their sizes and times; empty where they are not there."""
        try:
            paths = [path for path in self._files(choice)[:2] if path is not None]
            files = [file for path in paths for file in (path, *sorted(path.rglob("*")))]
            return " ".join(f"{file}={headers.stamp(file)}" for file in files)
        except (InvalidInput, OSError):
            return ""

    def _files(self, choice: Choice) -> tuple[Path | None, Path | None, Wish | None]:
        """Where a model and its VAE lie, and what is to be believed of it instead of the file."""
        model, vae, wish = self._first
        if choice.model:
            model, vae, wish = self._find(choice.model), None, None
            if model is None:
                raise unknown(choice, ())
        if choice.vae:
            vae = self._find(choice.vae)
            if vae is None:
                raise unknown(choice, {choice.model})
        return model, vae, wish

    def _prepare(self, say: Say) -> None:
        """Before the first PyTorch is imported; before others what has gone gives memory back."""
        if self._caches is not None:
            gc.collect()  # models hold themselves in circles
            _empty_cache()
            return
        say("importing PyTorch")
        import torch

        from limner.engine.sampling.conditioning import Caches

        # It knows the cores it may run on, not the share of their time.
        torch.set_num_threads(min(torch.get_num_threads(), machine.cores()))
        self._caches = Caches(self._prompt_cache_bytes)

    def _runner(self, checkpoint: Checkpoint, say: Say) -> Runner:
        from limner.engine.adapters import resident
        from limner.engine.sampling.measured import MeasuredRunner
        from limner.engine.sampling.runner import Runner

        def find(sha256: str) -> Path:
            return self._find(sha256) or resident.find_nothing(sha256)

        assert self._caches is not None
        own: dict[str, Any] = {"caches": self._caches, "find": find}
        own["loras_bytes"] = self._loras_bytes
        if self._max_rows is not None:
            return Runner(checkpoint, max_rows=self._max_rows, **own)
        return MeasuredRunner(checkpoint, knee_file=self._knee_file, say=say, **own)


def _without_folders(error: CheckpointError, files: Iterable[Path | None]) -> str:
    """What is wrong, for whoever named a model: where the operator keeps it is not their affair."""
    told = str(error)
    for file in files:
        told = told if file is None else told.replace(f"{file.parent}{os.sep}", "")
    return ways.over_http(told)


def _empty_cache() -> None:
    import torch

    torch.cuda.empty_cache()  # does nothing where there is no GPU
