"""spandrel, which knows the networks of upscalers, where torchvision may be or not.

spandrel asks for torchvision, which has no build for every PyTorch and fails beside another's. It
uses two functions of it, in networks that make nothing larger; where torchvision cannot be
imported, these stand in for them while spandrel is imported, and are gone after that.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import lru_cache
from types import ModuleType
from typing import Any

from torch import Tensor

from limner.errors import CheckpointError

_ABSENT = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
_importing = threading.Lock()


@lru_cache(maxsize=1)
def spandrel() -> Any:
    """The module. Raises ``CheckpointError`` where it is not installed."""
    with _importing, _with_torchvision():
        try:
            return importlib.import_module("spandrel")
        except ImportError as error:
            raise CheckpointError(
                f"upscaler files are read with spandrel, which cannot be imported here ({error}); "
                "install it: pip install --no-deps 'spandrel>=0.4.1,<0.5'"
            ) from error


def version() -> str:
    """Its name and version, for sentences."""
    return f"spandrel {getattr(spandrel(), '__version__', 'here')}"


@contextmanager
def _with_torchvision() -> Iterator[None]:
    if _is_whole():
        yield
        return
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_its(name)}
    sys.modules.update(_stand_ins())
    try:
        yield
    finally:
        for name in _ABSENT:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


def _is_whole() -> bool:
    try:
        importlib.import_module(_ABSENT[-1])
    except Exception:  # of another PyTorch it fails with whatever is missed first
        return False
    return True


def _is_its(name: str) -> bool:
    return name == _ABSENT[0] or name.startswith(f"{_ABSENT[0]}.")


def _stand_ins() -> dict[str, ModuleType]:
    modules = {name: ModuleType(name) for name in _ABSENT}
    functional: Any = modules[_ABSENT[-1]]
    functional.InterpolationMode = _Interpolation
    functional.normalize, functional.rotate = _normalize, _rotate
    return modules


class _Interpolation(Enum):
    BILINEAR = "bilinear"


def _normalize(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    return (image - image.new_tensor(mean)[:, None, None]) / image.new_tensor(std)[:, None, None]


def _rotate(*_: Any, **__: Any) -> Tensor:
    raise NotImplementedError("rotating needs torchvision")
