"""Read a pickle without running it: tensors are noted, every other object is an empty shell.

A pickle is a program that names functions and calls them. Here a name yields one of three: a
function of this file that notes where a tensor lies; a shell that takes anything and does nothing;
or, for what belongs to Python itself and has no business in a checkpoint, a refusal.
"""

from __future__ import annotations

import pickle
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from limner.errors import CheckpointError

# Storage classes of PyTorch by the type of their numbers, in safetensors' names.
STORAGES: Mapping[str, str] = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8",
    "ByteStorage": "U8", "BoolStorage": "BOOL", "UntypedStorage": "U8",
    "ComplexFloatStorage": "C64", "ComplexDoubleStorage": "C128",
    "QInt8Storage": "I8", "QUInt8Storage": "U8", "QInt32Storage": "I32",
}  # fmt: skip
_DTYPES: Mapping[str, str] = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64",
    "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32",
    "uint64": "U64", "bool": "BOOL", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip
# What of Python's own library trainers leave in their files; each becomes a shell.
_HARMLESS = {
    "_codecs": {"encode"},
    "array": {"_array_reconstructor", "array"},
    "argparse": {"Namespace"},
    "builtins": {
        "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list",
        "object", "range", "set", "slice", "str", "tuple",
    },
    "collections": {
        "ChainMap", "Counter", "OrderedDict", "UserDict", "UserList", "UserString", "defaultdict",
        "deque",
    },
    "copyreg": {"__newobj__", "__newobj_ex__", "_reconstructor"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "enum": {"Enum", "Flag", "IntEnum", "IntFlag", "StrEnum"},
    "fractions": {"Fraction"},
    "functools": {"partial"},
    "logging": {"Logger", "getLogger"},
    "pathlib": {"Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"},
    "random": {"Random"},
    "re": {"_compile", "compile"},
    "signal": {"Signals"},
    "string": {"Template"},
    "types": {"MappingProxyType", "SimpleNamespace"},
    "typing": {"Any"},
    "uuid": {"SafeUUID", "UUID"},
}  # fmt: skip


class _Fixed:
    """What a pickle may point to, but not change."""

    __slots__ = ()

    def __setstate__(self, _: object) -> None:
        raise pickle.UnpicklingError("it has no state")


@dataclass(frozen=True)
class Storage(_Fixed):
    """A run of ``count`` numbers beside the pickle, known there by its key."""

    dtype: str
    key: str
    count: int
    start: int = 0


@dataclass(frozen=True)
class Noted(_Fixed):
    """A tensor as the pickle describes it: offset and strides in numbers of its storage."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Shell(dict[Any, Any]):
    """Stands for an object of any class: it keeps what is put into it and does nothing."""

    def __init__(self, *arguments: object, **_: object) -> None:
        super().__init__()
        for argument in arguments:
            self.__setstate__(argument)

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.update(state)
        elif isinstance(state, (list, tuple)):
            pairs = [p for p in state if isinstance(p, (list, tuple)) and len(p) == 2]
            self.update((k, v) for k, v in pairs if isinstance(k, (str, int)))

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def append(self, *_: object) -> None:
        """As of a list."""

    extend = add = append


class _Function(_Fixed):
    """One of this file's functions."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)


class _Kind(_Fixed):
    """A name that is only compared: a storage class or a number type of PyTorch."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype


def _tensor(storage: Storage, offset: int, shape: Any, strides: Any, *_: Any) -> Noted:
    sizes, steps = tuple(map(int, shape)), tuple(map(int, strides))
    if min((*sizes, *steps, int(offset)), default=0) < 0 or len(sizes) != len(steps):
        raise pickle.UnpicklingError("a tensor of impossible shape")
    return Noted(storage, storage.dtype, int(offset), sizes, steps)


def _typed_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> Noted:
    """As ``_tensor``; the type of the numbers is the third of the rest."""
    found = _tensor(storage, offset, shape, strides)
    dtype = more[2]
    return Noted(found.storage, dtype.dtype, found.offset, found.shape, found.strides)


def _of_kind(make: _Function, _kind: Any, arguments: Any, *_: Any) -> Any:
    """A tensor of a subclass: the plain one."""
    return make(*arguments)


_FUNCTIONS: Mapping[tuple[str, str], _Function] = {
    ("torch._utils", "_rebuild_tensor"): _Function(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Function(_tensor),
    ("torch._utils", "_rebuild_tensor_v3"): _Function(_typed_tensor),
    ("torch._utils", "_rebuild_parameter"): _Function(lambda data, *_: data),
    ("torch._utils", "_rebuild_parameter_with_state"): _Function(lambda data, *_: data),
    ("torch._tensor", "_rebuild_from_type_v2"): _Function(_of_kind),
    ("torch._tensor", "_rebuild_from_type"): _Function(_of_kind),
    ("torch", "Size"): _Function(tuple),
}  # fmt: skip


# The one written in Python, for the other sets aside as much memory as a pickle's labels ask for.
class Reader(pickle._Unpickler):
    """Reads one pickle from where the file stands; ``load()`` gives its content.

    Raises:
        CheckpointError: it names something of Python's own that could do harm.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        super().__init__(file, encoding="utf-8", errors="surrogateescape")
        self._name = name
        self.storages: list[Storage] = []

    def find_class(self, module: str, name: str) -> Any:
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        if (module, name) in _FUNCTIONS:
            return _FUNCTIONS[module, name]
        root = module.partition(".")[0]
        if root == "torch" and name in STORAGES:
            return _Kind(STORAGES[name])
        if module == "torch" and name in _DTYPES:
            return _Kind(_DTYPES[name])
        harmless = name in _HARMLESS.get(module, ())
        if root in sys.stdlib_module_names and not harmless:
            raise CheckpointError(
                f"{self._name} is refused: its pickle asks for {module}.{name}, which no "
                "checkpoint needs and which could run code."
            )
        return Shell

    def persistent_load(self, pid: Any) -> Any:
        if isinstance(pid, tuple) and pid and pid[0] == "module":
            return Shell
        kind, storage, key, _location, count, *view = pid
        if kind != "storage" or not isinstance(storage, _Kind):
            raise pickle.UnpicklingError(f"unknown persistent id {kind!r}")
        start = int(view[0][1]) if view and view[0] else 0
        self.storages.append(Storage(storage.dtype, str(key), int(count), start))
        return self.storages[-1]


def tensors(content: object) -> dict[str, Noted]:
    """The tensors of a pickle's content by name, out of the wrappings that trainers put on."""
    return dict(_walk(_unwrapped(content), "", set())) if isinstance(content, dict) else {}


def _unwrapped(content: object) -> object:
    """Below ``state_dict``, ``model`` or ``module``, however often."""
    for _ in range(8):
        if not isinstance(content, dict):
            break
        inner = [content.get(name) for name in ("state_dict", "model", "module")]
        wrapped = next((each for each in inner if isinstance(each, dict) and each), None)
        if wrapped is None:
            break
        content = wrapped
    return content


def _walk(content: object, name: str, seen: set[int]) -> Iterator[tuple[str, Noted]]:
    """Every tensor with the keys that lead to it; nothing is entered twice."""
    if isinstance(content, Noted):
        yield name, content
    if not isinstance(content, (dict, list, tuple)) or id(content) in seen or len(seen) > 10_000:
        return
    seen.add(id(content))
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield from _walk(value, f"{name}.{key}" if name else str(key), seen)
