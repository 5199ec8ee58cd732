"""What it costs to load a second checkpoint: on an idle engine, and for those who draw meanwhile.

    python -m bench.switching FIRST SECOND [--size 256] [--steps 12] [--rounds 5]

Three figures, of files that the page cache holds and whose sums are known: a plain load of SECOND;
the switch to it on an idle engine with room for one, from the ticket to the model; and the steps
of a picture of FIRST before and while SECOND is loaded beside it. The first two take turns, and
medians are compared: how long the kernel takes to hand out four gigabytes differs threefold.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from limner.domain.params import Generation
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.request import Choice
from limner.engine.batching.ticket import Event, Progress, Ticket
from limner.engine.checkpoints import digests
from limner.engine.starting import Loader


def ignore(_: object) -> None:
    """Nobody listens."""


def plain_load(first: Path, second: Path) -> tuple[float, int]:
    """Seconds of a load after another was loaded, so that every import is done; and its bytes."""
    loader = loader_of(first, second)
    loader.load(ignore)
    gc.collect()
    began = time.perf_counter()
    size = loader.load(ignore, Choice(digests.sha256(second))).bytes
    return time.perf_counter() - began, size


def loader_of(first: Path, second: Path) -> Loader:
    """One that finds the second by its sum."""
    found = {digests.sha256(second): second}
    return Loader(first, find=found.get, max_rows=2)


@contextmanager
def engine(first: Path, second: Path, models_bytes: int) -> Iterator[ThreadEngine]:
    """An engine that is ready, with the first model."""
    gc.collect()  # an engine before it holds itself in circles
    loader = loader_of(first, second)
    made = ThreadEngine(
        loader.load, size=loader.size, models_bytes=models_bytes, max_bytes=256 << 20
    )
    while not made.status().ready:
        if made.failure is not None:
            raise made.failure
        time.sleep(0.01)
    yield made
    made.close()


def idle_switch(first: Path, second: Path, size: int) -> float:
    """Seconds until the second model is there, for which the first has to go."""
    with engine(first, second, size + (1 << 20)) as running:
        began = time.perf_counter()
        submit(running, digests.sha256(second), Generation(prompt="a knight", seed=1), ignore)
        return until_second(running, began)


def until_second(running: ThreadEngine, began: float) -> float:
    """Seconds since ``began`` when a model that is not the first is there."""
    while not set(names(running)) - {running.status().loaded().sha256}:
        time.sleep(0.01)
    return time.perf_counter() - began


def names(running: ThreadEngine) -> list[str]:
    """SHA-256s of the models in memory."""
    return [model.sha256 for model in running.status().resident]


def submit(running: ThreadEngine, model: str, drawing: Generation, sink: object) -> None:
    """One ticket."""
    running.submit(Ticket(f"{model}-{time.monotonic_ns()}", drawing, "bench", model=model), sink)  # type: ignore[arg-type]


def steps_beside(
    first: Path, second: Path, size: int, side: int, steps: int
) -> tuple[list[float], list[float], float]:
    """Seconds of each step before the load and during it, and how long the load took."""
    ends: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, Progress):
            ends.append(time.perf_counter())

    with engine(first, second, 2 * size + (1 << 20)) as running:
        drawing = Generation(prompt="a knight", seed=1, steps=150, width=side, height=side)
        submit(running, "", drawing, note)
        while len(ends) <= steps:
            time.sleep(0.01)
        asked = time.perf_counter()
        submit(running, digests.sha256(second), drawing, ignore)
        took = until_second(running, asked)
        seen = len(ends)
        while len(ends) <= seen:
            time.sleep(0.01)
    lasted = [later - sooner for sooner, later in itertools.pairwise(ends)]
    before = [s for s, end in zip(lasted, ends[1:], strict=False) if end <= asked]
    during = [s for s, end in zip(lasted, ends[1:], strict=False) if asked < end <= asked + took]
    return before[1:], during, took


def print_loads(first: Path, second: Path, rounds: int) -> int:
    """A plain load and an idle switch in turns; the model's bytes."""
    plain, idle, size = list[float](), list[float](), 0
    for _ in range(rounds):
        took, size = plain_load(first, second)
        plain.append(took)
        idle.append(idle_switch(first, second, size))
    usual = statistics.median(plain)
    print(f"plain load            {listed(plain)}, {size >> 20} MiB")
    print(f"switch, idle          {listed(idle)}, {statistics.median(idle) / usual:.2f} of it")
    return size


def listed(seconds: list[float]) -> str:
    """The median, and all in order."""
    each = " ".join(f"{took:.1f}" for took in sorted(seconds))
    return f"{statistics.median(seconds):6.1f} s ({each})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    for file in (args.first, args.second):
        digests.sha256(file)
        file.read_bytes()
    size = print_loads(args.first, args.second, args.rounds)
    before, during, took = steps_beside(args.first, args.second, size, args.size, args.steps)
    usual = statistics.median(before)
    print(f"switch, drawing       {took:6.1f} s")
    print(f"a step before         {usual:6.2f} s (to {max(before):.2f}), {len(before)} of them")
    print(f"a step during         {statistics.median(during):6.2f} s, {len(during)} of them")
    print(f"the longest           {max(during):6.2f} s, {max(during) / usual:.2f} of the usual")


if __name__ == "__main__":
    main()
