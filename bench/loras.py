"""What LoRAs cost: a row with one beside a plain row, and mixed requests beside diffusers.

    python -m bench.loras [--rounds 3] [--rows-only] [--model FILE]

First the processor time of one UNet call with the embedded model, plain and with LoRAs of rank 32,
in turns; "none" is a call in which LoRAs are looked for and no row has one. With ``--model``, a
checkpoint of full size (``bench.make_full_size`` writes one), that one's calls and nothing else.

Then sixteen requests with eight different LoRAs: all at once in Limner's engine, and one after
another by diffusers' pipeline of the same weights, with ``set_adapters`` between them. This part
needs peft (``pip install peft``). LoRAs are random, the requests of equal size.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import diffusers
import torch
from safetensors.torch import save_file

from limner.domain.loras import Lora
from limner.domain.params import Generation
from limner.domain.schedulers import BETAS
from limner.engine.adapters.reading import Adapter, load
from limner.engine.adapters.rows import Use
from limner.engine.adapters.targets import targets_of
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.ticket import Drawn, End, Ticket
from limner.engine.checkpoints import digests, weights
from limner.engine.sampling.batch import Batch
from limner.engine.sampling.lanes import Lanes
from limner.engine.sampling.runner import Runner

LORAS, REQUESTS, RANK, STEPS, SIDE = 8, 16, 32, 20, 256
FULL = 768  # numbers of a context of Stable Diffusion 1.5
PLACES = {"unet": (torch.device("cpu"), torch.float32)}


def write(path: Path, unet: Any, seed: int, *, kernels: bool = False) -> None:
    """A LoRA of what kohya's scripts train: the attentions' layers; or of all, as LoCon."""
    g = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, module in unet.named_modules():
        weight = getattr(module, "weight", None)
        if weight is None or weight.ndim not in (2, 4) or not (kernels or ".attentions." in name):
            continue
        key, (out, inside, *kernel) = f"lora_unet_{name.replace('.', '_')}", weight.shape
        tensors[f"{key}.lora_down.weight"] = torch.randn(RANK, inside, *kernel, generator=g) * 0.02
        up = torch.randn(out, RANK, *[1 for _ in kernel], generator=g)
        tensors[f"{key}.lora_up.weight"] = up * 0.02
    save_file(tensors, path)


def rows_part(folder: Path, rounds: int, model: Path | None = None) -> None:
    """Prints the processor time of calls of 2, 8 and 16 rows as shares of plain ones.

    Of a ``model`` of full size, of 2 rows.
    """
    unet = weights.load(model, device="cpu", dtype="float32").unet
    lanes = Lanes(unet)
    targets = targets_of(lanes.adapted.model, torch.nn.Module())

    def made(seed: int, *, kernels: bool = False) -> Adapter:
        write(folder / "row.safetensors", unet, seed, kernels=kernels)
        return load(folder / "row.safetensors", targets, PLACES)

    several = [made(seed) for seed in range(2 if model else LORAS)]
    locon = made(LORAS, kernels=True)
    for n in (2,) if model else (2, 8, 16):
        calls = {
            "plain": None,
            "none": ((),) * n,
            "one for all": ((Use(several[0], 1.0),),) * n,
            "another each": tuple(
                (Use(several[row // 2 % len(several)], 1.0),) for row in range(n)
            ),
            "two for all": ((Use(several[0], 1.0), Use(several[1], 1.0)),) * n,
            "LoCon for all": ((Use(locon, 1.0),),) * n,
        }
        seconds = in_turns(lanes, n, calls, 2 * rounds + 1)
        shares = {name: round(each / seconds["plain"], 2) for name, each in seconds.items()}
        print(f"{n} rows, processor time: {shares}", flush=True)


def in_turns(lanes: Lanes, n: int, calls: Mapping[str, Any], rounds: int) -> dict[str, float]:
    """Median processor seconds of a call of ``n`` rows for each of ``calls``."""
    width = lanes.adapted.model.config.cross_attention_dim
    side = 64 if width == FULL else 32
    y, t = torch.randn(n, 4, side, side), torch.linspace(1, 999, n)
    context = torch.randn(n, 77, width)
    batches = {name: Batch(y, t, context, None, uses) for name, uses in calls.items()}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, batch in batches.items():
            began = time.process_time()
            lanes(batch)
            if number:  # the first makes what is kept
                taken[name].append(time.process_time() - began)
    return {name: statistics.median(each) for name, each in taken.items()}


class Ours:
    """Limner's engine in this process."""

    def __init__(self, paths: Sequence[Path]) -> None:
        files = {digests.compute(path): path for path in paths}
        self.loras = [Lora(sha256=sha256) for sha256 in files]
        checkpoint = weights.load(None, device="cpu", dtype="float32")
        self.engine = ThreadEngine(
            lambda _say, *_choice: Runner(checkpoint, max_rows=32, find=files.__getitem__)
        )
        while not self.engine.status().ready:
            time.sleep(0.05)

    def round(self) -> float:
        """Seconds for all requests at once."""
        ends: SimpleQueue[End] = SimpleQueue()
        began = time.perf_counter()
        for number in range(REQUESTS):
            lora = self.loras[number % LORAS]
            generation = Generation(
                prompt="a knight", seed=number, steps=STEPS, scheduler="DDIM", guidance=5.0,
                width=SIDE, height=SIDE, loras=(lora,),
            )  # fmt: skip
            name = f"{number}-{began}"
            self.engine.submit(
                Ticket(name, generation, "bench"),
                lambda event: ends.put(event) if isinstance(event, End) else None,
            )
        for _ in range(REQUESTS):
            end = ends.get()
            assert isinstance(end, Drawn), end
        return time.perf_counter() - began


def theirs(paths: Sequence[Path]) -> Callable[[], float]:
    """What gives the seconds of diffusers for the same requests, one after another."""
    checkpoint = weights.load(None, device="cpu", dtype="float32")
    pipe = diffusers.StableDiffusionPipeline(
        vae=checkpoint.vae,
        text_encoder=checkpoint.text_encoder,
        tokenizer=checkpoint.tokenizer,
        unet=checkpoint.unet,
        scheduler=diffusers.DDIMScheduler(**BETAS),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    for number, path in enumerate(paths):
        pipe.load_lora_weights(path.parent, weight_name=path.name, adapter_name=f"l{number}")

    def round() -> float:
        began = time.perf_counter()
        for number in range(REQUESTS):
            pipe.set_adapters([f"l{number % LORAS}"], [1.0])
            generator = torch.Generator().manual_seed(number)
            pipe(
                "a knight", num_inference_steps=STEPS, guidance_scale=5.0, width=SIDE,
                height=SIDE, generator=generator,
            )  # fmt: skip
        return time.perf_counter() - began

    return round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows-only", action="store_true")
    parser.add_argument("--model", type=Path, help="a checkpoint, whose rows alone are measured")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows_part(folder, options.rounds, options.model)
        if options.rows_only or options.model:
            return
        unet = weights.load(None, device="cpu", dtype="float32").unet
        paths = [folder / f"l{seed}.safetensors" for seed in range(LORAS)]
        for seed, path in enumerate(paths):
            write(path, unet, seed)
        peer, ours = theirs(paths), Ours(paths)
        ours.round()
        pairs = []
        for number in range(options.rounds):
            pairs.append((ours.round(), peer()))
            print(f"round {number + 1}: {pairs[-1][0]:.2f} s limner, {pairs[-1][1]:.2f} s "
                  f"diffusers, {pairs[-1][0] / pairs[-1][1]:.3f}", flush=True)  # fmt: skip
        print(f"median ratio {statistics.median(a / b for a, b in pairs):.3f}")
        ours.engine.close()


if __name__ == "__main__":
    main()
