"""Applications made by the hundred: what FastAPI finds out of a handler is found out once.

Each application has handlers of its own, closures of the same code. FastAPI reads the signature of
each, evaluates its annotations and asks what kind of function it is: most of the time that making
an application takes. It also remembers the last thousands of them, and so whole applications.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.dependencies import models, utils

_first: dict[Any, Callable[..., Any]] = {}
_signatures: dict[Any, inspect.Signature] = {}
_read = utils.get_typed_signature


def _code(call: Callable[..., Any]) -> Any:
    """What all handlers have in common that one place in the source makes."""
    wrapped = inspect.unwrap(call) if hasattr(call, "__wrapped__") else call
    return getattr(call, "__code__", call), getattr(wrapped, "__code__", wrapped)


class _Identity(models._CallIdentity):
    """Stands for the first handler of its code."""

    def __init__(self, call: Callable[..., Any]) -> None:
        super().__init__(_first.setdefault(_code(call), call))


def _signature(call: Callable[..., Any]) -> inspect.Signature:
    if (code := _code(call)) not in _signatures:
        _signatures[code] = _read(call)
    return _signatures[code]


@contextmanager
def quickly() -> Iterator[None]:
    """Meanwhile handlers are known by their code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "_CallIdentity", _Identity)
        patch.setattr(utils, "get_typed_signature", _signature)
        yield
