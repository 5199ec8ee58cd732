"""Nothing that the tests' own process writes waits for a disk: none of them cuts the power.

Beside tests that write checkpoints of gigabytes, a commit that waits takes seconds. Servers in
processes of their own wait as ever.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event

from limner.store import sqlite

prepare = sqlite.prepare


@contextmanager
def writing() -> Iterator[None]:
    """Meanwhile databases that are opened, and files, are given to the system and no further."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "prepare", _prepare)
        patch.setattr(os, "fsync", lambda _: None)
        yield


def _prepare(engine: Engine) -> None:
    prepare(engine)
    event.listen(engine, "connect", _hasten)


def _hasten(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous = OFF")
