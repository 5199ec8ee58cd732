"""What a picture of few steps costs beside one of twenty with guidance, at full size.

    python -m bench.few_steps FILE [--size 512] [--of-twenty 3]

Processor seconds of the UNet and of the VAE apart: four evaluations at guidance 1, a row each; of
the twenty with guidance, two rows each, the first few, since all cost the same; and a decoding.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limner.domain.params import Generation
from limner.engine.batching.image import Image
from limner.engine.batching.request import Request
from limner.engine.checkpoints import weights
from limner.engine.sampling.runner import Runner


def seconds(do: Callable[[], Any]) -> float:
    """Processor seconds of all threads."""
    began = time.process_time()
    do()
    return time.process_time() - began


def prepared(runner: Runner, size: int, **fields: Any) -> Image:
    """An image that can be stepped."""
    generation = Generation(prompt="a knight", seed=1, width=size, height=size, **fields)
    [image] = runner.plan(Request("few", generation, "bench", lambda _: None))
    runner.prepare(image)
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--of-twenty", type=int, default=3)
    args = parser.parse_args()
    runner = Runner(weights.load(args.file, device="cpu", dtype="float32"), max_rows=2)
    few = prepared(runner, args.size, sampler="LCM", steps=4, guidance=1)
    many = prepared(runner, args.size, steps=20, guidance=7.5)
    runner.step([many])  # what only the first does
    unet_many = sum(seconds(lambda: runner.step([many])) for _ in range(args.of_twenty))
    unet_many *= 20 / args.of_twenty
    unet_few = sum(seconds(lambda: runner.step([few])) for _ in range(4))
    vae = seconds(lambda: runner.advance(few))
    print(f"4 steps, guidance 1: UNet {unet_few:.1f} s, VAE {vae:.1f} s")
    print(f"20 steps with guidance: UNet {unet_many:.1f} s (by {args.of_twenty}), VAE {vae:.1f} s")
    print(
        f"share: UNet {unet_few / unet_many:.3f}, whole {(unet_few + vae) / (unet_many + vae):.3f}"
    )


if __name__ == "__main__":
    main()
