"""`python -m training.data`: paint the training pictures once, into arrays by size.

Picture i of a seed is always the same one, so the work can be split between processes and a set can
be rebuilt bit for bit. A shard is one `.npz`: `sprites` uint8 (n, height, width, 3) and `scenes`,
their attributes as JSON.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.painter.picture import paint
from training.paths import work_dir
from training.scene import Scene, sample

SHARD = 4000
"""Pictures in a shard."""


def draw(seed: int, index: int) -> tuple[Scene, np.ndarray]:
    """Picture `index` of a seed: its scene and its sprite."""
    rng = np.random.default_rng((seed, index))
    scene = sample(rng)
    return scene, paint(scene, rng)


def build_shard(number: int, seed: int, folder: Path) -> int:
    """Paint one shard unless it is there; the number of its pictures."""
    path = folder / f"seed{seed}-{number:04d}.npz"
    if not path.exists():
        pairs = [draw(seed, number * SHARD + i) for i in range(SHARD)]
        by_size = defaultdict(list)
        for scene, sprite in pairs:
            by_size[sprite.shape[:2]].append((scene, sprite))
        _write(path, by_size)
    return SHARD


def _write(path: Path, by_size: dict[tuple[int, int], list[tuple[Scene, np.ndarray]]]) -> None:
    arrays = {}
    for (height, width), pairs in by_size.items():
        name = f"{height}x{width}"
        arrays[f"sprites-{name}"] = np.stack([sprite for _, sprite in pairs])
        arrays[f"scenes-{name}"] = np.array(json.dumps([asdict(scene) for scene, _ in pairs]))
    unfinished = path.with_suffix(".part.npz")
    np.savez(unfinished, **arrays)
    unfinished.rename(path)


class Pictures:
    """All painted pictures of a seed, by size: `sprites[(height, width)]` and `scenes`."""

    def __init__(self, seed: int, folder: Path | None = None) -> None:
        folder = folder or work_dir() / "data"
        sprites, scenes = defaultdict(list), defaultdict(list)
        for path in sorted(folder.glob(f"seed{seed}-????.npz")):
            with np.load(path) as shard:
                for name in (key[8:] for key in shard if key.startswith("sprites-")):
                    size = tuple(int(side) for side in name.split("x"))
                    sprites[size].append(shard[f"sprites-{name}"])
                    scenes[size] += [
                        Scene(**facts) for facts in json.loads(str(shard[f"scenes-{name}"]))
                    ]
        if not sprites:
            raise SystemExit(f"no pictures in {folder}: run python -m training.data first")
        self.sprites = {size: np.concatenate(parts) for size, parts in sprites.items()}
        self.scenes = dict(scenes)

    def __len__(self) -> int:
        return sum(map(len, self.sprites.values()))


def main() -> None:
    """Paint what is missing, on all cores, with a progress bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=80_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=None)
    options = parser.parse_args()
    folder = work_dir() / "data"
    folder.mkdir(exist_ok=True)
    work = partial(build_shard, seed=options.seed, folder=folder)
    numbers = range(-(-options.pictures // SHARD))
    bar = tqdm(total=len(numbers) * SHARD, unit="picture")
    with ProcessPoolExecutor(options.processes) as pool, bar:
        for done in pool.map(work, numbers):
            bar.update(done)


if __name__ == "__main__":
    main()
