"""`python -m training.train`: train Squire, or go on training it.

First the text encoder learns to read (minutes), then the UNet learns to draw (hours). Checkpoints
and sample sheets go to the working folder every few minutes; stop with Ctrl-C or SIGTERM at any
time and start the same command again. While a file named `pause` lies in the working folder, the
training sleeps. `--cooldown N` makes a model to ship out of the newest checkpoint: N samples with a
falling rate, kept apart, so that the training proper can go on later.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from diffusers import UNet2DConditionModel
from tqdm import tqdm
from transformers import CLIPTextModel

from training.batches import Batches
from training.data import Pictures
from training.loop import Trainer
from training.model import build_unet, for_training
from training.paths import work_dir
from training.reading import SLOTS, teach
from training.sheet import write_sheet
from training.text import TextEncoder, load_tokenizer

AREA = 8 * 32 * 32
"""Latent pixels of a process's batch: eight square sprites."""


def prepare_text(options: argparse.Namespace) -> None:
    """Teach the text encoder, once, and keep it as `text.pt`."""
    path = work_dir() / "text.pt"
    if path.exists():
        return
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    encoder = _encoder(options)
    right = teach(encoder, options.reading_steps, options.reading_rate, options.seed)
    print("read right:", {slot: round(share, 3) for slot, share in zip(SLOTS, right, strict=True)})
    torch.save(encoder.state_dict(), path)


def _encoder(options: argparse.Namespace) -> TextEncoder:
    warm = options.warm_start
    full = (
        CLIPTextModel.from_pretrained(warm / "text_encoder", dtype=torch.float32) if warm else None
    )
    return TextEncoder(load_tokenizer(), full)


def _unet(options: argparse.Namespace) -> UNet2DConditionModel:
    if options.warm_start:
        return UNet2DConditionModel.from_pretrained(options.warm_start / "unet").float()
    return build_unet()


def work(rank: int, options: argparse.Namespace) -> None:
    """One training process; the first one also writes checkpoints, sheets and the log."""
    os.nice(options.nice)
    torch.set_num_threads(1)
    store = f"file://{options.meeting}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=options.processes)
    torch.manual_seed(options.seed)
    encoder = _encoder(options)
    encoder.load_state_dict(torch.load(work_dir() / "text.pt"))
    batches = Batches(Pictures(options.data_seed), encoder, AREA)
    trainer = Trainer(
        for_training(_unet(options)), encoder, batches, options.seed, options.bfloat16
    )
    path = _resume(trainer, options)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: setattr(trainer, "stopping", True))
    _train(trainer, options, path)
    dist.destroy_process_group()


def _resume(trainer: Trainer, options: argparse.Namespace) -> Path:
    """Load the newest checkpoint that fits; the path under which to save from now on."""
    steady, cooled = work_dir() / "steady.pt", work_dir() / "cooled.pt"
    if options.cooldown and not cooled.exists():
        trainer.load(steady)
        trainer.cooldown_start, trainer.cooldown_samples = trainer.samples, options.cooldown
        return cooled
    path = cooled if options.cooldown else steady
    if path.exists():
        trainer.load(path)
    return path


def _train(trainer: Trainer, options: argparse.Namespace, path: Path) -> None:
    """Step until the time, the samples or the cooldown are up, or somebody says stop."""
    began = saved = time.time()
    mark = time.time(), trainer.samples
    bar = tqdm(
        desc=path.stem,
        unit="sample",
        initial=trainer.samples,
        mininterval=5,
        disable=trainer.rank > 0,
    )
    going = True
    while going:
        _wait_while_paused(trainer)
        going = trainer.run_step()
        bar.update(trainer.samples - bar.n)
        if options.samples and trainer.samples >= options.samples:
            break
        if trainer.rank == 0 and time.time() - began > options.minutes * 60:
            trainer.stopping = True
        if trainer.step % 200 == 0:
            if trainer.rank == 0:
                bar.set_postfix(
                    error=trainer.report(work_dir() / "log.jsonl", mark)["error_by_fifth"]
                )
            mark = time.time(), trainer.samples
        if trainer.step % 25 == 0 and _all_agree(time.time() - saved > options.every * 60):
            saved = time.time()
            trainer.save(path)
            if trainer.rank == 0:
                write_sheet(path, work_dir() / "sheets", load_tokenizer())
            dist.barrier()
    trainer.save(path)
    if trainer.rank == 0 and options.cooldown:
        write_sheet(path, work_dir() / "sheets", load_tokenizer())


def _all_agree(wish: bool) -> bool:
    """The first process decides for all."""
    flag = torch.tensor([float(wish)])
    dist.broadcast(flag, 0)
    return bool(flag)


def _wait_while_paused(trainer: Trainer) -> None:
    while (work_dir() / "pause").exists() and not trainer.stopping:
        time.sleep(2)


def main() -> None:
    """Read the options, prepare, and start the processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after this time")
    parser.add_argument("--samples", type=int, default=0, help="stop at this many samples in all")
    parser.add_argument("--cooldown", type=int, default=0, help="samples with a falling rate")
    parser.add_argument("--every", type=float, default=10, help="minutes between checkpoints")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument("--reading-steps", type=int, default=1500)
    parser.add_argument("--reading-rate", type=float, default=1e-3)
    parser.add_argument("--warm-start", type=Path, help="begin from this model folder's weights")
    parser.add_argument("--bfloat16", action="store_true", help="for CPUs with bfloat16 units")
    options = parser.parse_args()
    prepare_text(options)
    options.meeting = work_dir() / f"meeting-{os.getpid()}"
    children = mp.start_processes(work, (options,), options.processes, join=False)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: [child.terminate() for child in children.processes])
    while not children.join():
        pass


if __name__ == "__main__":
    main()
