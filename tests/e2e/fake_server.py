"""``limner`` with an engine that needs no model, for load and for crashes: it starts in a second.

Run as ``python -m tests.e2e.fake_server serve ...``; every command and setting is the real one.
``FAKE_STEP_S`` is how long a step takes.
"""

from __future__ import annotations

import os

from limner.cli import main, serving
from limner.engine.fake import FakeEngine
from limner.settings import Settings


def make_engine(settings: Settings) -> FakeEngine:
    step_s = float(os.environ.get("FAKE_STEP_S", "0.002"))
    return FakeEngine(step_s=step_s, max_queue=settings.queue_max_requests)


if __name__ == "__main__":
    serving.make_engine = make_engine
    main.app()
