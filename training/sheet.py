"""Sample sheets: the same prompts and seeds at every checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from transformers import CLIPTokenizer

from training.colourspace import to_sprites
from training.loop import averaged_state
from training.model import build_unet, sample
from training.text import TextEncoder

PROMPTS = (
    "knight with red armor, golden crown, holding a sword, desert background",
    "female elf archer, green leather armor, hood, bow, forest",
    "skeleton mage, purple robe, wizard hat, staff, cave",
    "portrait of a dwarf king, red beard, crown, castle hall",
    "blue dragon, mountains",
    "green slime, meadow",
    "red potion, dungeon",
    "treasure chest, village",
    "orc barbarian, axe, horned helmet, lava",
    "queen in blue dress, snow, night",
    "sea landscape, sunset",
    "white wolf, snow, masterpiece, best quality, highly detailed",
)
SQUARE, TALL = (32, 32), (48, 32)


def load_average(
    path: Path, tokenizer: CLIPTokenizer
) -> tuple[UNet2DConditionModel, TextEncoder, int]:
    """The averaged model of a checkpoint, and the samples that it has seen."""
    unet_state, encoder_state, samples = averaged_state(path)
    unet, encoder = build_unet(), TextEncoder(tokenizer)
    unet.load_state_dict(unet_state)
    encoder.load_state_dict(encoder_state, strict=False)
    return unet.eval(), encoder.eval(), samples


@torch.no_grad()
def encode(encoder: TextEncoder, texts: list[str]) -> torch.Tensor:
    """Contexts (n, 77, width) of prompts."""
    return encoder(encoder.tokens(texts)[0])


def write_sheet(path: Path, folder: Path, tokenizer: CLIPTokenizer, scale: int = 6) -> None:
    """Draw the prompts with the averaged model into one PNG, the last third of them tall."""
    unet, encoder, samples = load_average(path, tokenizer)
    context, empty = encode(encoder, list(PROMPTS)), encode(encoder, [""])
    sprites = []
    for size, part in ((SQUARE, slice(0, 8)), (TALL, slice(8, None))):
        seeds = list(range(len(PROMPTS)))[part]
        sprites += list(to_sprites(sample(unet, context[part], empty, size, seeds, steps=16)))
    rows = [np.pad(s, ((0, TALL[0] - len(s)), (1, 1), (0, 0))) for s in sprites]
    picture = Image.fromarray(np.concatenate(rows, 1))
    folder.mkdir(exist_ok=True)
    picture = picture.resize((picture.width * scale, picture.height * scale), Image.NEAREST)
    picture.save(folder / f"{path.stem}-{samples:08d}.png")
