"""Draw one large picture on a CPU with a checkpoint of full size, and say what memory it took.

    python -m bench.large FILE [--size 2048] [--steps 1] [--guidance 7.5] [--room 8] [--skim]
    python -m bench.large FILE --vae [--size 1024] [--piece 512]

Draws in float32, as on a machine that has ``--room`` GiB in all: what is left of them is what the
engine is told it may take. Prints a line a minute, and at the end the peak of all resident memory
(VmHWM) and of that which is not the file's (RssAnon).

With ``--skim`` attention looks at 64 keys where there are more, and the VAE computes its first two
pieces and lays them for the others: a tenth of the time, and memory of the same shapes, since
PyTorch's attention holds no more than blocks of its scores. ``--attention`` alone runs the largest
attention as it is, and says what it holds beside what goes in and comes out. ``--vae`` decodes and
encodes ``--size`` alone, in pieces of ``--piece`` pixels where that is said, of which it computes
two, and says what that held beside what ``pieces.bytes_of`` tells.
"""

from __future__ import annotations

import argparse
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch.nn import functional

from bench.engines import draw, engine
from bench.full_size import PROMPT, anonymous, peak
from limner import machine
from limner.domain.params import Generation
from limner.domain.tiling import APART
from limner.engine.checkpoints import weights
from limner.engine.tiling.pieces import PiecewiseVae, bytes_of

GIB = 1 << 30
KEYS = 64


def status(name: str) -> int:
    """A line of /proc/self/status, in bytes (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {name}")


@contextmanager
def told() -> Iterator[None]:
    """Prints a line a minute while something is done."""
    began, stop = time.monotonic(), threading.Event()

    def tell() -> None:
        while not stop.wait(60):
            print(f"  {time.monotonic() - began:6.0f} s: {_peaks()}", flush=True)

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _peaks() -> str:
    now, most = anonymous() / GIB, status("VmHWM") / GIB
    return f"{now:.2f} GiB anonymous now, VmHWM {most:.2f} GiB"


@contextmanager
def skimmed() -> Iterator[None]:
    """Attention of few keys, and a VAE that computes two pieces."""
    attend, pieces = functional.scaled_dot_product_attention, PiecewiseVae._pieces

    def attend_few(q: Any, k: Any, v: Any, *args: Any, **kwargs: Any) -> Any:
        few = k.shape[-2] > 4 * KEYS
        return (
            attend(q, k[..., :KEYS, :], v[..., :KEYS, :], *args, **kwargs)
            if few
            else attend(q, k, v, *args, **kwargs)
        )

    def two_pieces(self: Any, x: Any, spans: int, makes: int, make: Any) -> Any:
        count, made = itertools.count(), []

        def make_or_repeat(piece: Any) -> Any:
            if next(count) < 2:
                made.append(make(piece))
            return made[-1]

        return pieces(self, x, spans, makes, make_or_repeat)

    with (
        patch.object(functional, "scaled_dot_product_attention", attend_few),
        patch.object(PiecewiseVae, "_pieces", two_pieces),
    ):
        yield


def attention(size: int) -> None:
    """The largest attention of one row as it is: 8 heads of 40 channels, a key for each place."""
    places = (size // 8) ** 2
    q = torch.randn(1, 8, places, 40)
    before, began = anonymous(), time.perf_counter()
    with peak() as seen, told(), torch.inference_mode():
        made = functional.scaled_dot_product_attention(q, q, q)
    more = seen[-1] - before - made.nbytes
    print(f"attention over {places:,} places took {time.perf_counter() - began:.0f} s")
    print(f"it held {more / 2**20:,.0f} MiB beside what goes in and comes out")


def vae(args: argparse.Namespace) -> None:
    """What the VAE alone holds, both ways."""
    whole = weights.load(args.file, device="cpu", dtype="float32").vae
    made = PiecewiseVae(whole, args.piece, 8, APART) if args.piece else whole
    told = bytes_of(whole, *(2 * [args.piece or args.size])) >> 20
    latent = torch.randn(1, 4, args.size // 8, args.size // 8)
    picture = torch.rand(1, 3, args.size, args.size)
    for way, call in (
        ("decode", lambda: made.decode(latent).sample),
        ("encode", lambda: made.encode(picture).latent_dist.mean),
    ):
        before, began = anonymous(), time.perf_counter()
        with peak() as seen, skimmed(), torch.inference_mode():
            call()
        took, held = time.perf_counter() - began, seen[-1] - before >> 20
        print(f"{way} of {args.size}: held {held:,} MiB, told {told:,}; {took:.0f} s", flush=True)


def run(args: argparse.Namespace) -> None:
    """One picture, and the peaks."""
    checkpoint = weights.load(args.file, device="cpu", dtype="float32")
    print(f"loaded: {_peaks()}", flush=True)
    generation = Generation(
        prompt=PROMPT, scheduler="DDIM", steps=args.steps, guidance=args.guidance, seed=1234,
        width=args.size, height=args.size,
    )  # fmt: skip
    left = int(args.room * GIB) - anonymous()
    with (
        patch.object(machine, "available_memory", lambda: left),
        skimmed() if args.skim else nullcontext(),
        peak() as seen,
        told(),
        engine(checkpoint, max_rows=2) as running,
    ):
        began = time.perf_counter()
        [picture] = draw(running, [generation])
        print(f"drew in {time.perf_counter() - began:.0f} s{', skimmed' if args.skim else ''}")
    print(f"a picture of {picture.shape[1]}x{picture.shape[0]}, deviation {picture.std():.1f}")
    print(f"peak {seen[-1] / GIB:.2f} GiB anonymous; VmHWM {status('VmHWM') / GIB:.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--guidance", type=float, default=7.5)
    parser.add_argument("--room", type=float, default=8, help="GiB of the machine")
    parser.add_argument("--skim", action="store_true")
    parser.add_argument("--attention", action="store_true")
    parser.add_argument("--vae", action="store_true")
    parser.add_argument("--piece", type=int, help="pixels a side, with --vae")
    args = parser.parse_args()
    if args.attention:
        attention(args.size)
    else:
        (vae if args.vae else run)(args)


if __name__ == "__main__":
    main()
