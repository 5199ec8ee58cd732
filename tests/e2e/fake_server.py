"""``limner`` with an engine that needs no model, for load and for crashes: it starts in a second.

Run as ``python -m tests.e2e.fake_server serve ...``; every command and setting is the real one.
``FAKE_STEP_S`` is how long a step takes, ``FAKE_SCALE_S`` how long there must be work for more
replicas, or none for fewer; while a file ``FAKE_HOLD`` is there a step takes ``HELD_S``;
``FAKE_FAULTS`` are the odds with which each step, decoding, file and transaction fails, as of a bad
machine. With ``--fail-step`` (alone it means ``serve``) it is a server whose every step fails, as
after a fault of the device.
"""

from __future__ import annotations

import os
import random
import sys
import time
from contextlib import nullcontext
from typing import NoReturn

from limner.cli import main, replicating, serving
from limner.engine.batching.fake import FakeEngine
from limner.engine.batching.ticket import Reader
from limner.replicas import deployment
from limner.settings import Settings

FAIL_STEP = "--fail-step"
HELD_S = 10.0


def make_engine(settings: Settings, read: Reader, _find: object = None) -> FakeEngine:
    step_s = float(os.environ.get("FAKE_STEP_S", "0.002"))
    engine = FakeEngine(step_s=step_s, max_queue=settings.queue_max_requests, read=read)
    if place := os.environ.get("FAKE_HOLD"):
        step = engine.fake.step
        held = lambda images: (wait_while(place), step(images))[-1]  # noqa: E731
        engine.fake.step = held  # type: ignore[method-assign]
    return engine


def wait_while(place: str) -> None:
    """Until no file is there, but not so long that the engine is taken for one that hangs."""
    until = time.monotonic() + HELD_S
    while os.path.exists(place) and time.monotonic() < until:
        time.sleep(0.01)


def make_broken_engine(settings: Settings, read: Reader, _find: object = None) -> FakeEngine:
    engine = make_engine(settings, read)
    engine.fake.step = fail_step  # type: ignore[method-assign]
    return engine


def fail_step(_images: object) -> NoReturn:
    raise RuntimeError("a planted fault of the device")


def faults_planted(odds: float):
    """While it serves; nothing is planted, nor loaded, where the odds are 0."""
    if not odds:
        return nullcontext()
    from tests.web.planted import Faults

    return Faults(random.Random(1), odds).planted()


if __name__ == "__main__":
    serving.make_engine = make_engine
    replicating.engine_of = make_engine
    if "FAKE_SCALE_S" in os.environ:
        deployment.UP_S = deployment.DOWN_S = float(os.environ["FAKE_SCALE_S"])
    if FAIL_STEP in sys.argv:
        serving.make_engine = make_broken_engine
        sys.argv.remove(FAIL_STEP)
        if not sys.argv[1:] or sys.argv[1].startswith("-"):
            sys.argv.insert(1, "serve")
    with faults_planted(float(os.environ.get("FAKE_FAULTS", "0"))):
        main.app()
