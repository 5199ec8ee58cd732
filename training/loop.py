"""The training loop: state, step, schedule, checkpoints. One instance runs in each process."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from training.batches import Batches, Noising, timesteps
from training.text import shuffle_padding

RATE = 1e-3
TEXT_SHARE = 0.15
"""The text encoder learns at this share of the UNet's rate."""
WARM_UP_STEPS = 200
EMA = 0.998
FLOOR = 0.03
"""The share of the rate left at the end of a cooldown."""


class Trainer:
    """The UNet and the text encoder together, with their optimiser and moving average.

    The rate is constant after the warm-up, so that training can go on for any time; `cooldown`
    samples of falling rate at the end make a model to ship.
    """

    def __init__(self, unet, encoder, batches: Batches, seed: int, bfloat16: bool) -> None:
        self.unet, self.encoder, self.batches = unet, encoder, batches
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.bfloat16 = bfloat16
        self.shared = np.random.default_rng((seed, 0))
        self.own = np.random.default_rng((seed, 1 + self.rank))
        torch.manual_seed(seed * 1000 + self.rank)
        self.noising = Noising()
        self.weights = [*unet.parameters(), *encoder.parameters()]
        groups = [
            {"params": list(unet.parameters()), "share": 1.0},
            {"params": list(encoder.parameters()), "share": TEXT_SHARE},
        ]
        self.optimizer = torch.optim.AdamW(
            groups, lr=RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True
        )
        self.gradients = _gradient_views(self.weights)
        self.average = [weight.detach().clone() for weight in self.weights]
        self.step = self.samples = 0
        self.cooldown_start = self.cooldown_samples = 0
        self.stopping = False
        self.means = np.zeros((5, 2))

    def rate(self) -> float:
        """The learning rate of the coming step."""
        rate = RATE * min(1.0, (self.step + 1) / WARM_UP_STEPS)
        if self.cooldown_samples:
            share = min(1.0, (self.samples - self.cooldown_start) / self.cooldown_samples)
            rate *= FLOOR + (1 - FLOOR) * (1 - share) ** 1.5
        return rate

    def _decay(self, batch: int) -> float:
        """Of the moving average: short at the start, and a fifth of a cooldown long in one."""
        decay = min(EMA, (1 + self.step) / (10 + self.step))
        if self.cooldown_samples:
            decay = min(decay, 1 - 5 * batch * self.world / self.cooldown_samples)
        return max(decay, 0.0)

    def run_step(self) -> bool:
        """One optimiser step over all processes; whether to go on."""
        batch = self.batches.draw(self.shared, self.own)
        t = timesteps(len(batch.latents), self.own)
        loss = self._loss(batch, t)
        self.gradients.zero_()
        loss.backward()
        asked_to_stop = self._share_gradients()
        nn.utils.clip_grad_norm_(self.weights, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate() * group["share"]
        self.optimizer.step()
        self.step += 1
        self.samples += len(batch.latents) * self.world
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.weights, 1 - self._decay(len(batch.latents)))
        cooled = self.cooldown_samples > 0
        done = cooled and self.samples >= self.cooldown_start + self.cooldown_samples
        return not (asked_to_stop or done)

    def _loss(self, batch, t: torch.Tensor) -> torch.Tensor:
        noise = torch.randn_like(batch.latents)
        noisy = self.noising.noised(batch.latents, noise, t)
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        hidden = self.encoder(batch.rows)
        if self.own.random() < 0.5:
            hidden = shuffle_padding(hidden, batch.lengths)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            guess = self.unet(noisy, t, hidden).sample
        error = (guess.float() - noise).square().mean((1, 2, 3))
        self._note(error.detach(), t)
        return (error * self.noising.weights(t)).mean()

    def _note(self, error: torch.Tensor, t: torch.Tensor) -> None:
        """Add to the running sums of the plain error by fifths of the timesteps."""
        fifth = (t // 200).numpy()
        np.add.at(self.means[:, 0], fifth, error.numpy())
        np.add.at(self.means[:, 1], fifth, 1)

    def _share_gradients(self) -> bool:
        """Average the gradients over the processes; true when one of them wants to stop."""
        self.gradients[-1] = float(self.stopping)
        dist.all_reduce(self.gradients)
        self.gradients /= self.world
        return bool(self.gradients[-1] > 0)

    # Checkpoints.

    def save(self, path: Path) -> None:
        """Write everything that resuming needs; the first process writes for all."""
        own = [None] * self.world
        dist.all_gather_object(own, (self.own.bit_generator.state, torch.get_rng_state()))
        if self.rank:
            return
        state = {
            "unet": self.unet.state_dict(),
            "encoder": self.encoder.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "counters": (self.step, self.samples, self.cooldown_start, self.cooldown_samples),
            "shared": self.shared.bit_generator.state,
            "own": own,
        }
        unfinished = path.with_suffix(".part")
        torch.save(state, unfinished)
        unfinished.rename(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Random streams carry over where the process count is equal."""
        state = torch.load(path, weights_only=False)
        self.unet.load_state_dict(state["unet"])
        self.encoder.load_state_dict(state["encoder"])
        with torch.no_grad():
            for mine, saved in zip(self.average, state["average"], strict=True):
                mine.copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.samples, self.cooldown_start, self.cooldown_samples = state["counters"]
        self.shared.bit_generator.state = state["shared"]
        if len(state["own"]) == self.world:
            self.own.bit_generator.state, torch_state = state["own"][self.rank]
            torch.set_rng_state(torch_state)

    def report(self, path: Path, began: tuple[float, int]) -> dict[str, object]:
        """Append the errors since the last report to the log, and start new sums."""
        seconds, before = time.time() - began[0], began[1]
        fifths = (self.means[:, 0] / np.maximum(self.means[:, 1], 1)).round(4).tolist()
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "samples": self.samples,
            "rate": round(self.rate(), 6),
            "error_by_fifth": fifths,
            "samples_per_s": round((self.samples - before) / max(seconds, 1e-9), 2),
        }
        with path.open("a") as log:
            log.write(json.dumps(line) + "\n")
        self.means[:] = 0
        return line


def _gradient_views(weights: list[nn.Parameter]) -> torch.Tensor:
    """One vector that holds all gradients, each weight's a view, and a last number to spare.

    So the processes exchange them in one call and without copies.
    """
    flat = torch.zeros(sum(weight.numel() for weight in weights) + 1)
    offset = 0
    for weight in weights:
        part = flat[offset : offset + weight.numel()]
        weight.grad = part.as_strided(weight.shape, weight.stride(), part.storage_offset())
        offset += weight.numel()
    return flat


def averaged_state(path: Path) -> tuple[dict, dict, int]:
    """The averaged UNet and encoder states of a checkpoint, and its number of samples."""
    state = torch.load(path, weights_only=False)
    unet_names = list(state["unet"])
    encoder_names = [name for name in state["encoder"] if "position_ids" not in name]
    average = state["average"]
    unet = dict(zip(unet_names, average, strict=False))
    encoder = dict(zip(encoder_names, average[len(unet_names) :], strict=True))
    return unet, encoder, state["counters"][1]
