"""Which models are in memory: what goes for what is wanted, and when.

Bookkeeping alone: it loads nothing, and knows no torch. All sizes are in bytes.

1. *Room.* What is held, and what is being loaded, stays within ``budget``.
2. *Who goes.* Models without work first, the least recently used of them before others; then
   those that draw, the longest here first. A model in use is *leaving* until its last picture in
   flight is finished; no other of its pictures enters meanwhile.
3. *When.* A stay lasts a *quantum*: ``QUANTUM_STEPS`` steps of the engine, and ``QUANTUM_LOADS``
   times as long as its loading took, and always the pictures that are in flight. A model that draws
   goes only a quantum after the last load of any. Where nothing is drawn, nothing is waited for.

ADR 0020 has the bounds that follow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from limner.engine.batching.request import Choice
from limner.errors import InvalidInput, SettingsError

QUANTUM_STEPS = 4
QUANTUM_LOADS = 1


@dataclass
class Stay:
    """A model in memory: ``used`` is the number of the last step that it drew."""

    bytes: int
    load_s: float
    step: int
    began_s: float
    used: int


class Residency:
    """``clock`` gives seconds; only their differences count."""

    def __init__(self, budget: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget = budget
        self.stays: dict[Choice, Stay] = {}
        self.leaving: set[Choice] = set()
        self.loading: Choice | None = None
        self._clock = clock
        self._steps = 0
        self._bytes_loading = 0
        self._last: Stay | None = None  # what was loaded last, be it gone or not
        self._wanted: Choice | None = None  # what the leaving make room for

    @property
    def bytes(self) -> int:
        """What is held, with what is being loaded."""
        return sum(stay.bytes for stay in self.stays.values()) + self._bytes_loading

    def sizes(self) -> dict[Choice, int]:
        """The same by model."""
        coming = {} if self.loading is None else {self.loading: self._bytes_loading}
        return {choice: stay.bytes for choice, stay in self.stays.items()} | coming

    def expect_room(self, size: int) -> None:
        """Raises ``InvalidInput`` for a model that could never be held."""
        if size > self.budget:
            raise InvalidInput(
                "model",
                f"The model needs {size >> 20} MiB in memory; models may take "
                f"{self.budget >> 20} MiB on this server.",
            )

    def drew(self, choice: Choice) -> None:
        """Count a step of this model."""
        self._steps += 1
        self.stays[choice].used = self._steps

    def arrived(self, choice: Choice, size: int, load_s: float) -> None:
        """It is in memory now, after so many seconds."""
        self.loading, self._bytes_loading = None, 0
        stay = Stay(size, load_s, self._steps, self._clock(), self._steps)
        self._last = self.stays[choice] = stay

    def failed(self) -> None:
        """What was being loaded will not come."""
        self.loading, self._bytes_loading = None, 0

    def next(
        self, wanted: Mapping[Choice, int], busy: Collection[Choice]
    ) -> tuple[Choice, list[Choice]] | None:
        """What to load now and what has to be let go first; None while there is to be waited.

        ``wanted`` are sizes of models that are not here, the most urgent first; ``busy`` have
        pictures, in flight or about to enter.
        """
        if self._wanted not in wanted:
            self.leaving.clear()
            self._wanted = None
        if self.loading is not None or not wanted:
            return None
        if self._wanted is None:
            choice = next(iter(wanted))
            going = self._going(wanted[choice], busy)
            if going is None:
                return None
            self._wanted, self.leaving = choice, set(going)
        if any(choice in busy for choice in self.leaving):
            return None
        return self._begin(self._wanted, wanted[self._wanted])

    def _begin(self, choice: Choice, size: int) -> tuple[Choice, list[Choice]]:
        gone = list(self.leaving)
        for each in gone:
            del self.stays[each]
        self.leaving.clear()
        self.loading, self._bytes_loading, self._wanted = choice, size, None
        return choice, gone

    def _going(self, size: int, busy: Collection[Choice]) -> list[Choice] | None:
        """What goes for a model of ``size``; None while too little may go."""
        order = sorted(self.stays, key=lambda choice: self._rank(choice, busy))
        going, lacking = list[Choice](), self.bytes + size - self.budget
        for choice in order:
            if lacking > 0 and self._may_go(choice, busy):
                going.append(choice)
                lacking -= self.stays[choice].bytes
        return going if lacking <= 0 else None

    def _rank(self, choice: Choice, busy: Collection[Choice]) -> tuple[bool, int]:
        stay = self.stays[choice]
        return (True, stay.step) if choice in busy else (False, stay.used)

    def _may_go(self, choice: Choice, busy: Collection[Choice]) -> bool:
        if not busy:
            return True
        return self._is_over(self._last if choice in busy else self.stays[choice])

    def _is_over(self, stay: Stay | None) -> bool:
        """Whether a quantum has passed since it began."""
        if stay is None:
            return True
        lasted = self._clock() - stay.began_s
        return self._steps - stay.step >= QUANTUM_STEPS and lasted >= QUANTUM_LOADS * stay.load_s


def shares(first: int, free: int, pictures: int, budget: int | None) -> tuple[int, int]:
    """Bytes for all models and for pictures in flight, which never claim the same.

    After the ``first`` model was loaded, ``free`` bytes are left on its device, of which
    ``pictures`` would be for pictures if no other model came. Without a ``budget`` half of what is
    free is for other models. Raises ``SettingsError`` for a budget that leaves nothing.
    """
    claim = free // 2 if budget is None else max(0, budget - first)
    if claim >= free > 0:
        raise SettingsError(
            f"Models may take {(first + claim) >> 20} MiB, but the device has only "
            f"{(first + free) >> 20} MiB for them and for pictures."
        )
    return first + claim, pictures * (free - claim) // max(1, free)
