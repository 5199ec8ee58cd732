"""Rows of a table of which the fast tests try a few, and the slow ones all."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def rarely(rows: Iterable[Any], fast: int | Collection[Any]) -> list[Any]:
    """``rows`` as parameters; ``fast``: those that the fast tests try, or every so-manieth."""
    rows = list(rows)
    chosen = rows[::fast] if isinstance(fast, int) else [row for row in rows if row in fast]
    assert chosen
    return [row if row in chosen else pytest.param(row, marks=pytest.mark.slow) for row in rows]
