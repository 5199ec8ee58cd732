"""All that is worth knowing about Limner on this card, within ten minutes; the table comes last.

    python -m bench.gpu [--device cuda] [--model FILE] [--minutes 9] [--small] [--json FILE]

In this order: is it right (a CPU's float32 as oracle, company, ``exact``); UNet rows a second by
rows together; a mixed load through the engine; one picture alone; diffusers' own pipeline beside
it, eager and compiled. A part that fails is a row of the table, not the end. Without ``--model``
random weights of the true size are made first. ``--small`` does the same with the embedded model,
to see on any machine that the script works; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.engines import draw, engine
from bench.make_full_size import write
from limner.domain.params import Generation
from limner.domain.schedulers import BETAS, SPECS
from limner.engine.checkpoints import weights
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.batch import Batch
from limner.engine.sampling.lanes import Lanes

ROWS = (1, 2, 4, 8, 16, 32, 48, 64)
PROMPTS = (
    "a knight in red armor, desert background",
    "portrait of an elf queen, (silver crown:1.3), forest",
    "an old mage AND a dragon, castle, night",
    "[a dwarf:an orc:0.5] with an axe, mountains",
)
SCHEDULERS = ("DDIM", "UniPC", "Euler a", "DPM Multi", "Euler", "LMS", "Heun", "DDPM")


@dataclass
class Table:
    """Rows of the report, printed as they come and once more at the end."""

    until: float
    rows: list[tuple[str, str]] = field(default_factory=list)

    def say(self, what: str, figure: str) -> None:
        self.rows.append((what, figure))
        print(f"{what:<58} {figure}", flush=True)

    def part(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        """Run a part that needs about ``seconds``, if they are left; its failure is a row."""
        left = self.until - time.monotonic()
        if left < seconds:
            self.say(name, f"left out: {left:.0f} s were left, about {seconds:.0f} s are needed")
            return
        began = time.monotonic()
        try:
            work()
        except Exception as error:
            traceback.print_exc()
            self.say(name, f"FAILED: {type(error).__name__}: {str(error)[:300]}")
        print(f"-- {name}: {time.monotonic() - began:.0f} s", flush=True)


@dataclass
class Bench:
    """What all parts share."""

    table: Table
    device: str
    dtype: str
    model: Path | None
    small: bool
    checkpoint: Checkpoint = field(init=False)

    @property
    def steps(self) -> int:
        return 4 if self.small else 20

    def generation(self, number: int = 0, **changes: Any) -> Generation:
        """Request ``number``: schedulers, prompts and guidance differ, the size does not."""
        asked: dict[str, Any] = {
            "prompt": PROMPTS[number % len(PROMPTS)],
            "negative_prompt": "blurry" if number % 3 else "",
            "scheduler": SCHEDULERS[number % len(SCHEDULERS)],
            "steps": self.steps,
            "guidance": 5.0 + number % 5,
            "seed": 1000 + number,
            "width": 512,
            "height": 512,
            "noise_source": "torch-cpu",
        }
        return Generation(**{**asked, **changes})


def difference(one: np.ndarray, other: np.ndarray) -> str:
    apart = np.abs(one.astype(int) - other.astype(int))
    return (
        f"at most {apart.max()}/255, mean {apart.mean():.4f}/255, {(apart > 0).mean():.2%} differ"
    )


def right(bench: Bench) -> None:
    """The embedded model on this device against float32 on the CPU."""
    asked = [bench.generation(n, steps=8) for n in range(len(SCHEDULERS))]
    with engine(weights.load(None, device="cpu", dtype="float32"), 16) as running:
        oracle = draw(running, asked)
    for dtype in dict.fromkeys(("float32", bench.dtype)):
        with engine(weights.load(None, device=bench.device, dtype=dtype), 16) as running:
            for g, expected, made in zip(asked, oracle, draw(running, asked), strict=True):
                bench.table.say(
                    f"Squire {dtype} against the CPU, {g.scheduler}", difference(expected, made)
                )


def company(bench: Bench) -> None:
    """The same picture alone and among fifteen others, shared and exact."""
    others = [bench.generation(n) for n in range(1, 16)]
    with engine(bench.checkpoint, 32) as running:
        for name, exact in (("shared", False), ("exact", True)):
            one = bench.generation(0, exact=exact)
            [alone] = draw(running, [one])
            [again] = draw(running, [one])
            among = draw(running, [one, *others])[0]
            bench.table.say(f"{name}: the same picture twice, alone", difference(alone, again))
            bench.table.say(
                f"{name}: the same picture alone and in company", difference(alone, among)
            )


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


@torch.inference_mode()
def rows(bench: Bench) -> None:
    """UNet rows a second by rows together, at 512x512 and 77 tokens."""
    unet, parameter = Lanes(bench.checkpoint.unet), next(bench.checkpoint.unet.parameters())
    side, width = (
        512 // bench.checkpoint.vae_scale,
        bench.checkpoint.unet.config.cross_attention_dim,
    )
    for count in ROWS[:4] if bench.small else ROWS:
        y = torch.randn(count, bench.checkpoint.unet.config.in_channels, side, side).to(parameter)
        context = torch.randn(count, 77, width).to(parameter)
        t = torch.full((count,), 500.0, device=parameter.device)
        seconds = clock(bench.device, lambda: unet(Batch(y, t, context)))  # noqa: B023
        bench.table.say(
            f"UNet, {count} rows", f"{count / seconds:.1f} rows/s, {seconds * 1e3:.1f} ms"
        )


def clock(device: str, work: Callable[[], Any], rounds: int = 5) -> float:
    """Median seconds of a run, after two that are not counted."""
    times = []
    for number in range(rounds + 2):
        wait(device)
        began = time.perf_counter()
        work()
        wait(device)
        if number >= 2:
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def mixed(bench: Bench) -> None:
    """Different schedulers, guidance and prompts at once, with text encoder and VAE."""
    count = 4 if bench.small else 48
    asked = [bench.generation(n) for n in range(count)]
    for max_rows in (16,) if bench.small else (16, 32, 64):
        with engine(bench.checkpoint, max_rows) as running:
            draw(running, asked[:4])
            before, began = running.status().stats, time.perf_counter()
            draw(running, asked)
            seconds, after = time.perf_counter() - began, running.status().stats
        steps = after.steps - before.steps
        bench.table.say(
            f"mixed load, {count} pictures of {bench.steps} steps, up to {max_rows} rows",
            f"{count * bench.steps / seconds:.1f} image-steps/s, {count / seconds:.2f} pictures/s, "
            f"{(after.rows - before.rows) / steps:.1f} rows a step, "
            f"UNet {(after.unet_s - before.unet_s) / seconds:.0%}, "
            f"VAE {(after.vae_s - before.vae_s) / seconds:.0%}",
        )


def alone(bench: Bench) -> None:
    with engine(bench.checkpoint, 16) as running:
        for scheduler in ("DDIM", "Euler a"):
            one = bench.generation(0, scheduler=scheduler)
            seconds = clock(bench.device, lambda: draw(running, [one]))  # noqa: B023
            bench.table.say(
                f"one picture alone, {bench.steps} steps of {scheduler}",
                f"{seconds * 1e3:.0f} ms, {bench.steps / seconds:.1f} image-steps/s",
            )


def peer(bench: Bench, compiled: bool) -> None:
    """diffusers' own pipeline with the same weights."""
    import diffusers

    made = weights.load(bench.model, device=bench.device, dtype=bench.dtype)
    pipe = diffusers.StableDiffusionPipeline(
        vae=made.vae.to(made.unet.dtype),  # as its own pipelines have it
        text_encoder=made.text_encoder,
        tokenizer=made.tokenizer,
        unet=made.unet,
        scheduler=diffusers.DDIMScheduler(**BETAS, **SPECS["DDIM"].arguments),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    pipe.unet.to(memory_format=torch.channels_last)
    if compiled:
        pipe.unet = torch.compile(pipe.unet, fullgraph=True, mode="max-autotune-no-cudagraphs")
    for batch in (1,) if bench.small else (1, 16) if compiled else (1, 4, 16):
        asked = {"prompt": [PROMPTS[0]] * batch, "negative_prompt": ["blurry"] * batch}
        options = {"num_inference_steps": bench.steps, "width": 512, "height": 512}
        seconds = clock(bench.device, lambda: pipe(**asked, **options), rounds=3)  # noqa: B023
        bench.table.say(
            f"diffusers {'compiled' if compiled else 'eager'}, batch {batch}",
            f"{batch * bench.steps / seconds:.1f} image-steps/s, {seconds * 1e3:.0f} ms a batch",
        )


def describe(table: Table, device: str) -> None:
    card = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    table.say("device", f"{card}; Python {platform.python_version()}, torch {torch.__version__}")


def measure(bench: Bench) -> None:
    def load() -> None:
        bench.checkpoint = weights.load(bench.model, device=bench.device, dtype=bench.dtype)

    factor = 0.5 if bench.small else 1.0
    bench.table.part("right", 40 * factor, lambda: right(bench))
    bench.table.part("load", 30 * factor, load)
    bench.table.part("company", 30 * factor, lambda: company(bench))
    bench.table.part("rows", 30 * factor, lambda: rows(bench))
    bench.table.part("mixed", 60 * factor, lambda: mixed(bench))
    bench.table.part("alone", 20 * factor, lambda: alone(bench))
    bench.table.part("eager peer", 60 * factor, lambda: peer(bench, compiled=False))
    if not bench.small:
        bench.table.part("compiled peer", 180, lambda: peer(bench, compiled=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--dtype", default="float16", choices=("float16", "bfloat16", "float32"))
    parser.add_argument("--model", type=Path)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    table = Table(time.monotonic() + 60 * options.minutes)
    describe(table, options.device)
    with tempfile.TemporaryDirectory() as folder:
        model = options.model
        if model is None and not options.small:
            model = Path(folder) / "full-size.safetensors"
            write(model)
        measure(Bench(table, options.device, options.dtype, model, options.small))
    print("\n" + "\n".join(f"| {what} | {figure} |" for what, figure in table.rows))
    if options.json:
        options.json.write_text(json.dumps(table.rows, indent=1))


if __name__ == "__main__":
    main()
