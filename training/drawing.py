"""Drawing sprites from a model folder for the evaluation: prompts with weights, DDIM, guidance."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel

from training.colourspace import to_sprites
from training.model import for_training, sample
from training.text import LENGTH, load_tokenizer

WEIGHTED = re.compile(r"\(([^():]+):([\d.]+)\)|\(([^()]+)\)")
CHUNK = 16
"""Pictures drawn in one batch."""


class Model:
    """A folder in diffusers layout as the evaluation uses it: prompts in, sprites out."""

    def __init__(self, folder: Path, bfloat16: bool = False) -> None:
        self.bfloat16 = bfloat16
        self.tokenizer = load_tokenizer()
        self.text = CLIPTextModel.from_pretrained(
            folder / "text_encoder", dtype=torch.float32
        ).eval()
        unet = UNet2DConditionModel.from_pretrained(folder / "unet").float()
        self.unet = for_training(unet).eval()

    @torch.no_grad()
    def context(self, prompt: str) -> torch.Tensor:
        """Hidden states (1, 77, width); `(word:1.3)` is weighted and the mean restored."""
        ids, weights = [self.tokenizer.bos_token_id], [1.0]
        for text, weight in spans(prompt):
            tokens = self.tokenizer(text, add_special_tokens=False).input_ids
            ids += tokens
            weights += [weight] * len(tokens)
        ids, weights = ids[: LENGTH - 1], weights[: LENGTH - 1]
        padding = LENGTH - len(ids)
        ids += [self.tokenizer.eos_token_id] * padding
        hidden = self.text(input_ids=torch.tensor([ids])).last_hidden_state
        weighted = hidden * torch.tensor([*weights, *[1.0] * padding])[None, :, None]
        return weighted * (hidden.mean() / weighted.mean())

    def draw(
        self,
        prompts: list[str],
        seeds: list[int],
        size: tuple[int, int],
        negative: str | torch.Tensor = "",
        steps: int = 25,
        guidance: float = 6.0,
    ) -> np.ndarray:
        """Sprites uint8 (n, height, width, 3), one for each prompt and its seed.

        ``negative``: a prompt, or its hidden states (1, 77, width).
        """
        empty = self.context(negative) if isinstance(negative, str) else negative
        drawn = []
        for first in range(0, len(prompts), CHUNK):
            part = slice(first, first + CHUNK)
            context = torch.cat([self.context(prompt) for prompt in prompts[part]])
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                latents = sample(self.unet, context, empty, size, seeds[part], steps, guidance)
            drawn.append(to_sprites(latents))
        return np.concatenate(drawn)


def spans(prompt: str) -> list[tuple[str, float]]:
    """The prompt cut at its weighted brackets: pieces of text with their weights."""
    found, end = [], 0
    for match in WEIGHTED.finditer(prompt):
        found.append((prompt[end : match.start()], 1.0))
        text, weight, plain = match.groups()
        found.append((text or plain, float(weight) if weight else 1.1))
        end = match.end()
    found.append((prompt[end:], 1.0))
    return [(text, weight) for text, weight in found if text.strip()]
