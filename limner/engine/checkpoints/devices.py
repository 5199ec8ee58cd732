"""What the system tells of a GPU without PyTorch, which takes seconds to import."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from limner.errors import SettingsError

# A card of NVIDIA's, a GPU under WSL, one of AMD's (which PyTorch calls cuda as well).
_NODES = ("nvidia[0-9]*", "dxg", "kfd")


def check(wish: str, devices: Path = Path("/dev")) -> None:
    """Raise SettingsError for a wish of ``cuda`` that PyTorch could not grant either."""
    if wish != "cuda":
        return
    if _build().endswith("+cpu"):
        raise SettingsError(
            f"device is 'cuda', but PyTorch {_build()} is built for CPUs alone; use cpu or auto."
        )
    absent = not any(found for node in _NODES for found in devices.glob(node))
    if sys.platform == "darwin" or (sys.platform == "linux" and absent):
        raise SettingsError("device is 'cuda', but this machine has no such device; "
                            "use cpu or auto.")  # fmt: skip


def _build() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""
