"""Networks for pictures by the names and shapes of their tensors, as spandrel knows them.

spandrel is asked which network the names are, and has it built of tensors that have shapes and no
numbers: what it then says of the network holds of the file, and nothing large was read or made.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from limner.engine.checkpoints.headers import FLOATS, Header, TensorInfo
from limner.engine.checkpoints.spandrels import spandrel, version
from limner.engine.checkpoints.tensors import DTYPES, read
from limner.errors import CheckpointError

# How programs wrap what they save; of two copies the averaged one is meant to be used.
_WRAPPERS = ("params_ema.", "params-ema.", "params.", "module.", "netG.")

# Warnings of what is meant so, and of how spandrel calls PyTorch: no lines for people or logs.
_HARMLESS = ("for .* copying from a non-meta parameter", r"torch\.meshgrid: in an upcoming release")

READ = 1 << 14  # numbers of tensors that are read: some tell sizes by what they hold
_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")
_PER_TENSOR = 8  # a layer without tensors takes a number too
_SET: Any = Tensor.data.__set__  # type: ignore[attr-defined]
_FILLING = ("copy_", "uniform_", "normal_", "erfinv_", "mul_", "add_", "clamp_", "zero_", "fill_")
_MAKERS = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn)


@dataclass(frozen=True)
class Network:
    """``name`` as spandrel calls it; ``purpose`` SR, FaceSR, Inpainting or Restoration;
    ``reads`` and ``makes`` so many channels."""

    name: str
    purpose: str
    scale: int
    reads: int
    makes: int


def detected(header: Header) -> Any:
    """spandrel's architecture that has tensors of these names; None of none that it knows.

    Raises ``CheckpointError`` where there is no spandrel.
    """
    infos = {name: header.tensors[at] for name, at in unwrapped(header.tensors).items()}
    found = spandrel().MAIN_REGISTRY.architectures("detection")
    return next((each.architecture for each in found if _is(each.detect, infos)), None)


def _is(detect: Callable[[Any], bool], infos: Mapping[str, TensorInfo]) -> bool:
    try:
        return bool(detect(infos))
    except Exception:  # names alone were enough, and shapes are not what it expects
        return False


def unwrapped(names: Iterable[str]) -> dict[str, str]:
    """Those in the file by those that spandrel knows."""
    found = {name: name for name in names}
    for wrapper in _WRAPPERS:
        inner = {n.removeprefix(wrapper): at for n, at in found.items() if n.startswith(wrapper)}
        found = inner or found
    return found


def told(header: Header) -> Network:
    """What the network of a file is.

    Raises ``CheckpointError`` where its tensors make none, or there is no spandrel.
    """
    infos = {name: header.tensors[at] for name, at in unwrapped(header.tensors).items()}
    require_counted(header.path.name, infos)
    with torch.inference_mode(), _Hollow():
        found = built(header.path.name, {name: _hollow(info) for name, info in infos.items()})
    _require_floats(header.path.name, infos, found.model)
    return Network(
        found.architecture.name,
        found.purpose,
        found.scale,
        found.input_channels,
        found.output_channels,
    )


def _require_floats(file: str, infos: Mapping[str, TensorInfo], model: Any) -> None:
    """Whole numbers would be taken for weights as they are: a quantised file makes noise."""
    for name, weight in model.state_dict().items():
        if weight.is_floating_point() and name in infos and infos[name].dtype not in FLOATS:
            raise CheckpointError(
                f"{file}: {name!r} is stored as {infos[name].dtype}; weights are read as "
                f"{', '.join(FLOATS)}."
            )


def built(name: str, weights: Mapping[str, Tensor]) -> Any:
    """spandrel's descriptor of a network with these weights, out of the file of this name."""
    known = spandrel()
    for harmless in _HARMLESS:  # for good: set for a while, it would be set for all threads, too
        warnings.filterwarnings("ignore", harmless)
    try:
        return known.MAIN_REGISTRY.load(dict(weights))
    except known.UnsupportedModelError as error:
        raise CheckpointError(
            f"{name} is an upscaler of a network that {version()} does not know."
        ) from error
    except Exception as error:  # its readers expect what training wrote, and trip over the rest
        raise CheckpointError(
            f"{name} is broken: its tensors do not make the network that their names tell "
            f"({type(error).__name__})."
        ) from error


def require_counted(file: str, names: Iterable[str]) -> None:
    """Refuse numbers of layers beyond any of a network with so few tensors: all would be made."""
    names = list(names)
    most = _PER_TENSOR * (len(names) + _PER_TENSOR)
    for name in names:
        if any(len(n) > 9 or int(n) > most for n in _NUMBER.findall(name)):
            raise CheckpointError(
                f"{file} is broken: {name!r} numbers more layers than {len(names)} tensors make."
            )


def _hollow(info: TensorInfo) -> Tensor:
    if info.count <= READ:
        return read(info)
    return torch.empty(info.shape, dtype=DTYPES.get(info.dtype), device="meta")


class _Hollow(TorchFunctionMode):
    """Has tensors made without numbers, on this thread, and nothing copied into or out of them."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in _MAKERS and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        hollow = any(isinstance(each, Tensor) and each.is_meta for each in args[:2])
        if hollow and (func == _SET or getattr(func, "__name__", "") in _FILLING):
            return args[0]
        return func(*args, **kwargs)
