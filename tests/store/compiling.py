"""Statements that are compiled once for all databases of the tests.

SQLAlchemy keeps what it compiled with the engine and its dialect. Each test has databases of its
own, so a dialect of its own, and would compile the same statements anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from limner.store import db

_Key = tuple[Any, ...]


class _Compiled(dict[_Key, Any]):
    """By statement and kind of database in place of a database; see ``Engine._compiled_cache``."""

    def get(self, key: _Key, default: Any = None) -> Any:
        return super().get(_of_kind(key), default)

    def __setitem__(self, key: _Key, compiled: Any) -> None:
        super().__setitem__(_of_kind(key), compiled)


def _of_kind(key: _Key) -> _Key:
    dialect, *rest = key
    kind = type(dialect), dialect.paramstyle, dialect.server_version_info
    return (kind, *rest)


_all = _Compiled()


def _engine(*arguments: Any, **options: Any) -> Engine:
    engine = create_engine(*arguments, **options)
    engine._compiled_cache = _all
    return engine


@contextmanager
def once() -> Iterator[None]:
    """Meanwhile databases that are opened share what is compiled for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db, "create_engine", _engine)
        yield
