"""What an engine has done since it began: in all, and by model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from limner.domain.model import ModelInfo
from limner.engine.batching.client import ModelStats
from limner.engine.batching.request import Choice

MODELS_MAX = 64
"""So many models have figures of their own: the first that were asked for."""

OTHER = "other"
"""What all further ones are counted as, so that nobody can make series without end."""

DIGITS = 10


@dataclass
class Tally:
    """Of one model; ``images`` are those that the engine knows, waiting or in flight."""

    name: str = ""
    steps: int = 0
    pictures: int = 0
    busy_s: float = 0.0
    loads: int = 0
    load_s: float = 0.0
    failed_loads: int = 0
    evictions: int = 0
    images: int = 0


class Tallies:
    """Belongs to the engine's thread. ``first`` is the model that an empty ``Choice`` means."""

    def __init__(self, first: ModelInfo) -> None:
        self.steps = self.rows = self.images = 0
        self.busy_s = 0.0
        self._first = first.sha256
        self._models: dict[str, Tally] = {}
        self.of(Choice()).name = first.name

    def of(self, choice: Choice) -> Tally:
        """The model's own counters, or those of all further ones."""
        return self._models.setdefault(self._label(choice), Tally())

    def stepped(self, choice: Choice, rows: int) -> None:
        """A step of so many rows was made; 0 where nothing came of it."""
        self.rows += rows
        self.steps += rows > 0
        self.of(choice).steps += rows > 0

    def lasted(self, choice: Choice, seconds: float) -> None:
        """It took so long, with the pictures that it finished."""
        self.busy_s += seconds
        self.of(choice).busy_s += seconds

    def drew(self, choice: Choice) -> None:
        """A picture is finished."""
        self.images += 1
        self.of(choice).pictures += 1

    def loaded(self, choice: Choice, name: str, seconds: float) -> None:
        """The model was loaded beside the steps; it is known by its name from now on."""
        tally = self.of(choice)
        tally.loads, tally.load_s = tally.loads + 1, tally.load_s + seconds
        if self._label(choice) != OTHER:
            tally.name = name

    def by_model(
        self, sizes: Mapping[Choice, int], in_flight: Mapping[Choice, int]
    ) -> dict[str, ModelStats]:
        """Of every model that was asked for; ``sizes`` are bytes of those in memory."""
        held, running = self._summed(sizes), self._summed(in_flight)
        return {
            label: ModelStats(
                **_totals(tally),
                bytes=held[label],
                running=running[label],
                waiting=max(0, tally.images - running[label]),
            )
            for label, tally in self._models.items()
        }

    def _summed(self, numbers: Mapping[Choice, int]) -> Counter[str]:
        sums = Counter[str]()
        for choice, number in numbers.items():
            sums[self._label(choice)] += number
        return sums

    def _label(self, choice: Choice) -> str:
        model, vae = choice.model or self._first, choice.vae
        label = model[:DIGITS] + (f"+{vae[:DIGITS]}" if vae else "")
        return label if label in self._models or len(self._models) < MODELS_MAX else OTHER


def _totals(tally: Tally) -> dict[str, Any]:
    return {name: value for name, value in vars(tally).items() if name != "images"}


def merged(several: Iterable[Mapping[str, ModelStats]]) -> dict[str, ModelStats]:
    """What several engines did by model, added up."""
    sums: dict[str, dict[str, Any]] = {}
    for models in several:
        for label, stats in models.items():
            kept = label if label in sums or len(sums) < MODELS_MAX else OTHER
            so_far = sums.setdefault(kept, {})
            for each in fields(ModelStats):
                value = getattr(stats, each.name)
                known = so_far.get(each.name, type(value)())
                so_far[each.name] = known or value if each.name == "name" else known + value
    return {label: ModelStats(**values) for label, values in sums.items()}
