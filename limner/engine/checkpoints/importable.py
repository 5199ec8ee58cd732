"""What speaks against an import and is known before PyTorch is imported."""

from __future__ import annotations

from pathlib import Path

from limner.engine.checkpoints import folders
from limner.engine.checkpoints.inspection import (
    DESCRIPTIONS,
    LOADED,
    SUPPORTED,
    kind_of,
    read_header,
)
from limner.errors import CheckpointError

PRECISIONS = ("keep", "float16")
KINDS = (*LOADED, "vae")


def check(source: Path, models: Path, name: str | None, precision: str) -> Path:
    """The new folder in ``models``. Raises CheckpointError where nothing could be imported."""
    target = models / _name(name or source.stem)
    if target.exists():
        raise taken(target)
    if precision not in PRECISIONS:
        raise CheckpointError(f"precision is {precision!r}; allowed are {', '.join(PRECISIONS)}.")
    kind(source)
    return target


def kind(source: Path) -> str:
    """One of ``KINDS``; raises CheckpointError for everything else."""
    if source.is_dir():
        return folders.kind(folders.read_parts(source))
    found = kind_of(read_header(source))
    if found not in KINDS:
        raise CheckpointError(
            f"{source.name} seems to be {DESCRIPTIONS[found]}; {SUPPORTED}, and VAEs for them."
        )
    return found


def taken(target: Path) -> CheckpointError:
    """For a name that another import has."""
    return CheckpointError(f"{target} exists already; choose another name with --name.")


def _name(name: str) -> str:
    if not name or name.startswith(".") or any(c in name for c in '/\\:*?"<>|\0'):
        raise CheckpointError(f"{name!r} cannot be the name of a folder.")
    return name
