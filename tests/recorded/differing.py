"""What differs between two recorded answers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

ABSENT = object()
LEVELS = 12  # of 255, by which a colour may differ that is the mean of an 8 x 8th
SHOWN = 300  # characters of a value


def differences(before: Any, now: Any, path: str = "") -> Iterator[str]:
    """A line for each place that differs; what has come or gone as a whole is one place."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted(before.keys() | now.keys()):
            old, new = before.get(name, ABSENT), now.get(name, ABSENT)
            yield from differences(old, new, f"{path}.{name}" if path else name)
    elif isinstance(before, list) and isinstance(now, list):
        for number, (old, new) in enumerate(zip_longest(before, now, fillvalue=ABSENT)):
            yield from differences(old, new, f"{path}.{number}")
    elif before != now and not _alike(path, before, now):
        yield f"{path}: {_shown(before)} -> {_shown(now)}"


def _alike(path: str, before: Any, now: Any) -> bool:
    """Whether both are the colours of one picture."""
    if path.rpartition(".")[2] != "look" or ABSENT in (before, now):
        return False
    pairs = zip(bytes.fromhex(before), bytes.fromhex(now), strict=True)
    return max(abs(old - new) for old, new in pairs) <= LEVELS


def _shown(value: Any) -> str:
    told = "(absent)" if value is ABSENT else repr(value)
    return told if len(told) <= SHOWN else f"{told[:SHOWN]}..."
