"""Decoding processes that are lent to one server of the tests after another: to start one takes
most of a second of processor time."""

from __future__ import annotations

import atexit
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from limner.imaging import pool
from limner.imaging.process import Limits, Process

_idle: defaultdict[Limits, list[Process]] = defaultdict(list)


class Kept(Process):
    """Waits for the next server when its own closes it; it ends with the tests' process."""

    def close(self) -> None:
        if self.alive:
            _idle[self._limits].append(self)
        else:
            super().close()


def _lent(limits: Limits) -> Process:
    while _idle[limits]:
        if (process := _idle[limits].pop()).alive:
            return process
        process.close()
    return Kept(limits)


@atexit.register
def _end() -> None:
    for process in [each for waiting in _idle.values() for each in waiting]:
        process.kill()
        process.close()


@contextmanager
def lent() -> Iterator[None]:
    """Meanwhile pools take their processes from here, and give back those that are still good."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "Process", _lent)
        yield
