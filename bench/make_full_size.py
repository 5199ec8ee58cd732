"""Write a random checkpoint of Stable Diffusion 1.5's true shape: float16, original key names.

    python -m bench.make_full_size FILE [--seed 0]

2.1 GB. The weights mean nothing, but they are scaled so that every activation stays finite: the
file is for measuring the loader and the engine where the real weights cannot be had.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.engine import checkpoint_files


def fill(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """Values of one tensor, float16: norms are ones, biases small, weights keep the variance."""
    if name.endswith("position_ids"):
        return torch.arange(shape[-1])[None]
    if len(shape) == 1 and name.endswith(".weight"):
        return torch.ones(shape, dtype=torch.float16)
    spread = 0.02 if len(shape) == 1 or "embedding" in name else 1 / math.sqrt(fan_in(shape))
    return (torch.randn(shape, generator=generator) * spread).half()


def fan_in(shape: torch.Size) -> int:
    """How many inputs one output of the layer sums."""
    return math.prod(shape[1:])


def write(file: Path, seed: int = 0) -> int:
    """Write the checkpoint; the number of its tensors."""
    with torch.device("meta"):
        names = checkpoint_files.original(checkpoint_files.models({}))
    generator = torch.Generator().manual_seed(seed)
    tensors = {name: fill(name, value.shape, generator) for name, value in names.items()}
    save_file(tensors, file, metadata={"format": "pt"})
    return len(tensors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    count = write(args.file, args.seed)
    print(f"{args.file}: {args.file.stat().st_size:,} bytes, {count} tensors")


if __name__ == "__main__":
    main()
