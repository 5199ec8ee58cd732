"""`python -m training.eval FOLDER`: measure a model folder, section by section.

Writes `NAME.json`, `NAME.md` and sheets of the pictures into the working folder's `evaluation`.
Finished sections are kept, so an interrupted evaluation goes on where it stopped; `--again` starts
anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from training import judge, speed
from training.autoencoder import build_autoencoder
from training.cases import (
    PUBLISHED,
    PUBLISHED_NEGATIVE,
    TALL,
    Case,
    characters,
    combination,
    others,
    reddened,
)
from training.data import Pictures, draw
from training.drawing import Model
from training.paths import SQUIRE, work_dir


class Evaluation:
    """One model under test, and what all sections share."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.options = folder, options
        self.out = work_dir() / "evaluation"
        self.out.mkdir(exist_ok=True)
        self.model, self.judge = Model(folder, options.bfloat16), judge.train()
        self.pictures = Pictures(options.data_seed)

    def drawn(self, cases: list[Case], seeds: int | None = None) -> list[list[np.ndarray]]:
        """The sprites of each case, one for every seed."""
        count = seeds or self.options.seeds
        sprites: list[list[np.ndarray]] = [[] for _ in cases]
        for size in sorted({case.size for case in cases}):
            which = [k for k, case in enumerate(cases) if case.size == size]
            jobs = [(k, seed) for k in which for seed in range(count)]
            prompts = [cases[k].prompt for k, _ in jobs]
            seeds = [seed for _, seed in jobs]
            pictures = self.model.draw(
                prompts, seeds, size, steps=self.options.steps, guidance=self.options.guidance
            )
            for (k, _), sprite in zip(jobs, pictures, strict=True):
                sprites[k].append(sprite)
        return sprites

    def sheet(self, name: str, rows: list[list[np.ndarray]]) -> None:
        """A PNG of the pictures, a row for each case."""
        tall = max(sprite.shape[0] for row in rows for sprite in row)
        lines = []
        for row in rows:
            padded = [np.pad(s, ((0, tall + 1 - len(s)), (0, 1), (0, 0))) for s in row]
            lines.append(np.concatenate(padded, 1))
        picture = Image.fromarray(np.concatenate(lines))
        size = picture.width * 3, picture.height * 3
        picture.resize(size, Image.NEAREST).save(self.out / f"{self.options.name}-{name}.png")


def adherence(run: Evaluation) -> dict[str, object]:
    """Share of pictures in which the judge sees what the prompt asked for, per attribute."""
    scenes = [scene for group in run.pictures.scenes.values() for scene in group]
    painted = {combination(scene) for scene in scenes if scene.kind == "character"}
    cases = characters(run.options.cases, painted, seed=7) + others(seed=8)
    rows, right = run.drawn(cases), defaultdict(list)
    for case, row in zip(cases, rows, strict=True):
        kind = case.wanted.get("kind") or ("character" if "weapon" in case.wanted else "thing")
        for size in {sprite.shape for sprite in row}:
            seen = judge.verdicts(run.judge, np.stack([s for s in row if s.shape == size]))
            for slot, value in case.wanted.items():
                hits = [verdict[slot] == value for verdict in seen]
                right[slot] += hits
                right[f"{slot} of a {kind}"] += hits
    run.sheet("adherence", rows)
    ceiling = judge.accuracy(run.judge)
    return {
        "pictures": sum(map(len, rows)),
        "right": {slot: round(float(np.mean(hits)), 4) for slot, hits in sorted(right.items())},
        "judge": ceiling,
    }


def redness(sprites: np.ndarray) -> np.ndarray:
    """How red the middle of each picture is: red over the mean of green and blue, in levels."""
    height, width = sprites.shape[1:3]
    middle = sprites[:, int(height * 0.3) : int(height * 0.95), int(width * 0.3) : int(width * 0.7)]
    mean = middle.reshape(len(sprites), -1, 3).astype(float).mean(1)
    return mean[:, 0] - mean[:, 1:].mean(1)


def weights_act(run: Evaluation) -> dict[str, object]:
    """`(red:w)` and a negative `red`: does the figure's redness move the right way?"""
    seeds, means = list(range(run.options.seeds)), defaultdict(list)
    stronger, weaker, sheet = [], [], []
    for prompt in reddened():
        by_weight = {}
        for weight in (0.5, 1.0, 1.5):
            text = prompt.format(f"red:{weight}")
            sprites = run.model.draw([text] * len(seeds), seeds, (32, 32))
            by_weight[weight] = redness(sprites)
            means[f"red:{weight}"] += by_weight[weight].tolist()
            sheet.append(list(sprites))
        plain = [prompt.format("red:1")] * len(seeds)
        without = redness(run.model.draw(plain, seeds, (32, 32), negative="red"))
        means["negative red"] += without.tolist()
        stronger += (by_weight[1.5] > by_weight[0.5]).tolist()
        weaker += (without < by_weight[1.0]).tolist()
    run.sheet("weights", sheet)
    return {
        "pairs": len(stronger),
        "1.5_redder_than_0.5": round(float(np.mean(stronger)), 4),
        "negative_less_red": round(float(np.mean(weaker)), 4),
        "mean_redness": {name: round(float(np.mean(v)), 1) for name, v in means.items()},
    }


def published_example(run: Evaluation) -> dict[str, object]:
    """The hosted service's example request: an armoured figure in a desert?"""
    seeds = [2601738487234 + k for k in range(run.options.seeds)]
    sprites = run.model.draw(
        [PUBLISHED] * len(seeds), seeds, TALL, negative=PUBLISHED_NEGATIVE, guidance=9.0
    )
    run.sheet("published", [list(sprites)])
    seen = judge.verdicts(run.judge, sprites)
    armoured = [v["kind"] == "character" and v["material"] in ("plate", "leather") for v in seen]
    desert = [verdict["place"] == "desert" for verdict in seen]
    both = [a and d for a, d in zip(armoured, desert, strict=True)]
    return {
        "seeds": len(seeds),
        "armoured": sum(armoured),
        "desert": sum(desert),
        "both": sum(both),
    }


def originality(run: Evaluation) -> dict[str, object]:
    """How far drawn characters of unseen combinations are from the nearest training sprite."""
    painted = {combination(scene) for scene in run.pictures.scenes[(32, 32)]}
    cases = [
        case for case in characters(2 * run.options.cases, painted, seed=9) if case.size == (32, 32)
    ]
    sprites = [sprite for row in run.drawn(cases, seeds=2) for sprite in row]
    known = run.pictures.sprites[(32, 32)]
    nearest = [_nearest(sprite, known) for sprite in sprites]
    return {
        "samples": len(nearest),
        "over_5_percent_differ": round(float(np.mean(np.array(nearest) > 0.05)), 4),
        "least": round(min(nearest), 4),
        "median": round(float(np.median(nearest)), 4),
    }


def _nearest(sprite: np.ndarray, known: np.ndarray, levels: int = 24, part: int = 4000) -> float:
    """Share of pixels that differ by more than `levels` from the nearest known sprite."""
    best = 1.0
    for first in range(0, len(known), part):
        gap = np.abs(known[first : first + part].astype(np.int16) - sprite.astype(np.int16))
        best = min(best, float((gap.max(3) > levels).mean((1, 2)).min()))
    return best


def autoencoder(_run: Evaluation) -> dict[str, float]:
    """Peak signal-to-noise ratio of painter pictures through the shipped precision, in decibels."""
    vae = build_autoencoder().half().float()
    ratios = []
    for index in range(20):
        blocks = judge.as_input(draw(judge.TEST_SEED, index)[1][None])
        image = blocks.repeat_interleave(16, 2).repeat_interleave(16, 3)
        with torch.no_grad():
            again = vae.decode(vae.encode(image).latent_dist.mean).sample
        ratios.append(-10 * np.log10(((again - image) / 2).square().mean().item()))
    return {"least_db": round(min(ratios), 1), "mean_db": round(float(np.mean(ratios)), 1)}


SECTIONS: dict[str, Callable[[Evaluation], dict[str, object]]] = {
    "adherence": adherence,
    "weights_act": weights_act,
    "published_example": published_example,
    "originality": originality,
    "autoencoder": autoencoder,
    "speed": lambda run: speed.measure(run.folder),
}


def as_markdown(results: dict[str, object]) -> str:
    """The results as one table."""
    lines = ["| section | figure | value |", "|---|---|---|"]
    for section, figures in results["sections"].items():
        for name, value in figures.items():
            pairs = value.items() if isinstance(value, dict) else [("", value)]
            lines += [f"| {section} | {name} {key} | {number} |" for key, number in pairs]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the sections that are missing, writing after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=SQUIRE)
    parser.add_argument("--name", default="squire")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--cases", type=int, default=24, help="character prompts")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=6.0)
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument("--sections", nargs="*", default=list(SECTIONS), choices=list(SECTIONS))
    parser.add_argument("--bfloat16", action="store_true", help="draw in bfloat16, faster on some")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    run = Evaluation(options.folder, options)
    path = run.out / f"{options.name}.json"
    weights = (options.folder / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    shown = ("seeds", "cases", "steps", "guidance", "bfloat16")
    head = {"unet_sha256": hashlib.sha256(weights).hexdigest()}
    head |= {name: getattr(options, name) for name in shown}
    results = json.loads(path.read_text()) if path.exists() and not options.again else {}
    if {key: results.get(key) for key in head} != head:
        results = {**head, "sections": {}}
    for name in options.sections:
        if name in results["sections"]:
            continue
        began = time.time()
        results["sections"][name] = SECTIONS[name](run)
        print(f"{name} ({time.time() - began:.0f} s): {results['sections'][name]}", flush=True)
        path.write_text(json.dumps(results, indent=1) + "\n")
        path.with_suffix(".md").write_text(as_markdown(results))


if __name__ == "__main__":
    main()
