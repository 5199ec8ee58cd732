"""Whether a checkpoint was taught to draw in few steps: by what lies beside it, or is in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from limner.domain import few_steps
from limner.domain.few_steps import Family
from limner.engine.checkpoints.headers import Header
from limner.engine.checkpoints.inspection import read_header
from limner.engine.checkpoints.regular import opened
from limner.errors import CheckpointError
from limner.models import sidecars

_CONFIG = Path("scheduler", "scheduler_config.json")
_MAX_BYTES = 1 << 16


def of_header(header: Header) -> Family | None:
    """As a file says in its metadata."""
    return few_steps.in_metadata(header.metadata)


def of_folder(folder: Path) -> Family | None:
    """As the scheduler's config of a folder in diffusers' layout says."""
    with suppress(OSError, ValueError, RecursionError), opened(folder / _CONFIG) as file:
        config = json.loads(file.read(_MAX_BYTES))
        return few_steps.of_scheduler(config) if isinstance(config, dict) else None
    return None


@lru_cache(maxsize=16)
def of_path(path: Path) -> Family | None:
    """The same of a checkpoint that may be in no library; what lies beside it goes first."""
    if path.is_dir():
        return sidecars.read(path, _beside(path)).few_steps or of_folder(path)
    if not path.is_file():
        return None
    with suppress(CheckpointError, OSError):
        return sidecars.read(path, _beside(path)).few_steps or of_header(read_header(path))
    return None


def _beside(path: Path) -> Iterable[str]:
    return [each.name for each in path.absolute().parent.iterdir()]
