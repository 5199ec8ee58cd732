"""What a server of an older release told its database, from an empty one on; replayed in tests.

``python -m tests.store.older.recording CHECKOUT`` records it anew, once a release is out: then
``CHECKOUT`` is that release's code.
"""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Said:
    """One statement: SQL as the driver was given it, its parameters, and how many rows it wrote.

    ``rows`` is None for what only reads.
    """

    sql: str
    parameters: Any
    rows: int | None


def life(kind: str) -> list[list[Said]]:
    """Transactions of a server on ``sqlite`` or ``postgresql``, in the order of their ends."""
    kept = json.loads((HERE / f"{kind}.json").read_text())
    texts, values = kept["statements"], kept["transactions"]
    return [[Said(texts[n], _read(given), rows) for n, given, rows in each] for each in values]


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_read, value))
    if isinstance(value, dict):
        return b64decode(value["b64"]) if [*value] == ["b64"] else _all(value)
    return value


def _all(given: dict[str, Any]) -> dict[str, Any]:
    return {name: _read(each) for name, each in given.items()}
