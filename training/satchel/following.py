"""`python -m training.satchel.following`: how well figures follow the ControlNet's silhouettes.

The silhouettes are of painter pictures that no training has seen; the prompts name what is in them
in words unlike the captions, with colours and places of their own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel
from torch import Tensor, nn

from training import words
from training.colourspace import to_sprites
from training.drawing import CHUNK, Model
from training.model import sample
from training.paths import SATCHEL, SQUIRE, work_dir
from training.satchel import measure, outlines, silhouette, variants
from training.scene import COLOURS, PLACES, Scene

SEED = 505
LEAST = 0.8
"""The overlap from which on a figure follows its silhouette."""


class Followed(nn.Module):
    """A UNet to which a ControlNet adds what it makes of silhouettes, bool (n, h, w)."""

    def __init__(self, unet: nn.Module, net: ControlNetModel, masks: np.ndarray) -> None:
        super().__init__()
        self.unet, self.net, self.masks = unet, net, masks

    def forward(self, x: Tensor, t: Tensor, told: Tensor):
        """As the UNet's, of rows (2 n): without guidance's words, then with them."""
        masks = np.concatenate([self.masks] * (len(x) // len(self.masks)))
        down, mid = silhouette.added(self.net, x, t.expand(len(x)), told, masks)
        return self.unet(
            x, t, told, down_block_additional_residuals=down, mid_block_additional_residual=mid
        )


def prompt(scene: Scene, rng: np.random.Generator) -> str:
    """What is in a scene, in another colour and at another place; not what it wears or holds."""
    colour, place = (str(rng.choice(those)) for those in (COLOURS, PLACES[1:]))
    behind = words.PLACES[place][0]
    if scene.kind != "character":
        return f"there is a {colour} {scene.subject} here, {behind} background, detailed"
    near = "portrait of " if scene.portrait else ""
    return f"{near}a {scene.subject} in {colour} clothes stands before the {behind}"


@torch.no_grad()
def draw(
    net: ControlNetModel | None, prompts: list[str], masks: np.ndarray, *, bfloat16: bool
) -> np.ndarray:
    """Sprites of the prompts, DDIM, 25 steps, guidance 6, with or without the net."""
    model, drawn = Model(SQUIRE, bfloat16), []
    for first in range(0, len(prompts), CHUNK):
        part = slice(first, first + CHUNK)
        context = torch.cat([model.context(each) for each in prompts[part]])
        seeds = list(range(len(prompts)))[part]
        unet = model.unet if net is None else Followed(model.unet, net, masks[part])
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            latents = sample(unet, context, model.context(""), masks.shape[1:], seeds, 25, 6.0)
        drawn.append(to_sprites(latents))
    return np.concatenate(drawn)


def main() -> None:
    """Draw, measure, print; a sheet of the silhouettes above their pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", type=Path, default=SATCHEL / "squire-silhouette.safetensors")
    parser.add_argument("--count", type=int, default=100, help="pictures")
    parser.add_argument("--moved", action="store_true", help="half of them to a side")
    parser.add_argument("--bfloat16", action="store_true")
    options = parser.parse_args()
    name = "moved" if options.moved else "figures"
    those = variants.draw(name, SEED, outlines.SIZE, options.count)
    rng, masks = np.random.default_rng(SEED), np.stack([each.figure for each in those])
    prompts = [prompt(each.scene, rng) for each in those]
    followed = draw(silhouette.load(options.file), prompts, masks, bfloat16=options.bfloat16)
    white = np.repeat(np.where(masks, 255, 0).astype(np.uint8)[..., None], 3, -1)
    measure.sheet(work_dir() / "satchel" / "squire-silhouette.png", white, followed)
    without = slice(max(1, options.count // 2))
    free = draw(None, prompts[without], masks[without], bfloat16=options.bfloat16)
    painted = outlines.painted(outlines.TEST_SEED, 300)
    for what, sprites, wanted in (
        ("with it", followed, masks),
        ("without it", free, masks[without]),
        ("painter pictures", *painted),
    ):
        shares = outlines.overlap(outlines.seen(sprites), wanted)
        print(
            f"{what}: {(shares > LEAST).sum()} of {len(shares)} over {LEAST}, "
            f"mean {shares.mean():.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
