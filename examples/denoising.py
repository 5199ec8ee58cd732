"""A lesson: denoising step by step, as four schedulers do it from the same noise.

At every step the model says what noise it sees; what is left is its estimate of the finished
picture. The columns are those estimates, as the engine's previews show them to a page that
watches. Run it: ``.venv/bin/python examples/denoising.py`` draws ``docs/images/denoising.png``.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from limner.cli import drawing, engines
from limner.engine.batching.ticket import Event, Progress
from limner.settings import load
from limner.usecases.pictures.sheet import Cell, Sheet, to_small_png

OUTPUT = Path(__file__).parents[1] / "docs" / "images" / "denoising.png"
SCHEDULERS = ("DDIM", "Euler a", "Heun", "UniPC")
SHOWN = (1, 2, 4, 7, 12, 17)
BODY = {
    "prompt": "mage with blue robe, pointed hat, magic staff, castle hall background",
    "num_inference_steps": 20,
    "guidance_scale": 5,
    "seed": 3,
}


class Watcher:
    """Keeps the preview of each step."""

    def __init__(self) -> None:
        self.previews: dict[int, Cell] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress) and event.preview is not None:
            self.previews[event.step] = Cell(event.preview, crisp=True)


def main(output: Path) -> None:
    """Draw with each scheduler, watched, and write the sheet."""
    settings = load()
    bodies = [{**BODY, "scheduler": name} for name in SCHEDULERS]
    calls = [asyncio.run(drawing.to_call(body, settings)) for body in bodies]
    watchers = [Watcher() for _ in calls]
    with engines.opened(settings, len(calls)) as engine:
        # The previews' colours are learned from finished pictures: draw one first, unwatched.
        engines.draw_all(engine, [engines.Work(calls[0].generation)])
        works = [
            engines.Work(call.generation, on_event=watcher)
            for call, watcher in zip(calls, watchers, strict=True)
        ]
        finished = [Cell.of(picture) for picture in engines.draw_all(engine, works)]
    rows = [
        (*(watcher.previews[step] for step in SHOWN), cell)
        for watcher, cell in zip(watchers, finished, strict=True)
    ]
    sheet = Sheet(
        title="What the model believes, step by step",
        cells=tuple(rows),
        columns=(*(f"step {step}" for step in SHOWN), "finished"),
        rows=SCHEDULERS,
        notes=(
            f"{BODY['prompt']}. Seed {BODY['seed']}, {BODY['num_inference_steps']} steps.",
            "Large shapes and colours come first, edges last. Euler a adds fresh noise at each "
            "step, so it ends elsewhere.",
        ),
    )
    output.write_bytes(to_small_png(sheet, 128))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT)
