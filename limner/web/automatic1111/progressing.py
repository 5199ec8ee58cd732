"""How far AUTOMATIC1111's calls of a key are, whichever process draws them."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from limner import imaging
from limner.domain.params import Generation
from limner.domain.passes import steps_of
from limner.engine.batching.ticket import Drawn, Event, Pixels, Progress
from limner.store.jobs import Job
from limner.usecases.drawing.events import Note


@dataclass(eq=False)
class CallProgress:
    """How far each picture of a call is that is being drawn; ``steps`` are those of all passes."""

    samples: int
    steps: int
    began: float = field(default_factory=time.monotonic)
    done: dict[int, float] = field(default_factory=dict)
    step: int = 0
    preview: Pixels | None = None

    def hear(self, event: Event) -> None:
        """Follow the drawing; on the event loop."""
        if isinstance(event, Progress):
            self.reach(event.index, event.evaluation, event.evaluations)
            if event.preview is not None:
                self.preview = event.preview
        elif isinstance(event, Drawn):
            self.done[event.index] = 1.0

    def reach(self, index: int, evaluation: int, evaluations: int) -> None:
        """A picture has come so far; its step is that share of all of its passes' steps."""
        self.done[index] = evaluation / evaluations
        self.step = -(-evaluation * self.steps // evaluations)


InProgress = dict[str, list[CallProgress]]
"""The calls of each key that are being drawn, by its id, oldest first."""


def of_notes(job: Job, notes: Iterable[Note]) -> CallProgress:
    """How far a call is that another process draws, by what it told."""
    since = 0.0 if job.started_at is None else max(0.0, time.time() - job.started_at)
    steps = steps_of(Generation.model_validate(job.generation)) if job.generation else 0
    call = CallProgress(job.samples, steps, time.monotonic() - since)
    for note in notes:
        index = note.data["index"]
        if note.name == "progress" and call.done.get(index) != 1.0:
            call.reach(index, note.data["evaluation"], note.data["evaluations"])
            call.preview = call.preview if note.preview is None else note.preview
        elif note.name == "drawn":
            call.done[index] = 1.0
    return call


def told(calls: list[CallProgress], wanted: bool) -> dict[str, Any]:
    """All calls of a key taken together; ``step`` and preview are of the oldest."""
    samples = sum(call.samples for call in calls)
    done = sum(sum(call.done.values()) for call in calls)
    share = done / samples if samples else 0.0
    first = calls[0] if calls else None
    elapsed = time.monotonic() - first.began if first else 0.0
    preview = first.preview if first and wanted else None
    return {
        "progress": round(share, 4),
        "eta_relative": round(elapsed / share - elapsed, 3) if share else 0.0,
        "state": {
            "skipped": False,
            "interrupted": False,
            "job": f"{len(calls)} running" if calls else "",
            "job_count": samples,
            "job_no": int(done),
            "sampling_step": first.step if first else 0,
            "sampling_steps": first.steps if first else 0,
        },
        "current_image": (
            None if preview is None else base64.b64encode(imaging.to_png(preview)).decode()
        ),
        "textinfo": None,
    }
