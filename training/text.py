"""The text encoder: a narrow CLIP with a compact vocabulary, first taught to read captions.

Only a few hundred of CLIP's 49408 tokens ever occur in a caption with a meaning. They get rows of
their own; all others share one "unknown" row, which filler words teach the model to ignore.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training import words
from training.paths import TOKENIZER

LENGTH = 77
"""Tokens of a prompt, start, end and padding included."""
WIDTH = 128


def known_ids(tokenizer: CLIPTokenizer) -> list[int]:
    """The ids of all tokens in `words.KNOWN`, and those of start and end, sorted."""
    texts = words.known_texts()
    ids = {i for text in texts for i in tokenizer(text).input_ids}
    return sorted(ids | set(tokenizer(",").input_ids))


class TextEncoder(nn.Module):
    """CLIP's text transformer over the compact vocabulary; row 0 is the unknown token."""

    def __init__(self, tokenizer: CLIPTokenizer, full: CLIPTextModel | None = None) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.ids = torch.tensor(known_ids(tokenizer))
        self.row_of = torch.zeros(len(tokenizer), dtype=torch.long)
        self.row_of[self.ids] = torch.arange(1, len(self.ids) + 1)
        self.model = full if full is not None else CLIPTextModel(config(len(tokenizer)))
        table = self._table()
        compact = _compact(table.weight.detach().float(), self.ids)
        table.num_embeddings = len(compact)
        table.weight = nn.Parameter(compact)

    def _table(self) -> nn.Embedding:
        return self.model.get_input_embeddings()

    def tokens(self, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows (batch, 77) of the compact vocabulary, and each caption's length with its end."""
        batch = self.tokenizer(
            captions, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
        )
        return self.row_of[batch.input_ids], batch.attention_mask.sum(1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Hidden states (batch, 77, 128) after the final layer norm."""
        return self.model(input_ids=rows).last_hidden_state

    @torch.no_grad()
    def full(self) -> CLIPTextModel:
        """The same encoder over CLIP's whole vocabulary, as it ships."""
        settings = self.model.config
        settings.vocab_size = len(self.row_of)
        whole = CLIPTextModel(settings)
        state = {k: v for k, v in self.model.state_dict().items() if "token_embedding" not in k}
        whole.load_state_dict(state, strict=False)
        whole.get_input_embeddings().weight.copy_(self._table().weight[self.row_of])
        return whole.eval()


def config(vocabulary: int) -> CLIPTextConfig:
    """Squire's text encoder: 128 wide, two layers, four heads."""
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        hidden_act="quick_gelu",
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )


def _compact(table: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The unknown row and the known ones out of a full table (tokens, width).

    A table that was compact before has one row in most places: that is the unknown one. Tokens that
    were unknown then and are known now start a little away from it.
    """
    rows, counts = torch.unique(table, dim=0, return_counts=True)
    unknown = rows[counts.argmax()] if counts.max() > 1 else table.mean(0)
    known = table[ids].clone()
    new = (known == unknown).all(1)
    known[new] += 0.5 * known[~new].std() * torch.randn(int(new.sum()), table.shape[1])
    return torch.cat([unknown[None], known]).contiguous()


def shuffle_padding(hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Exchange the outputs behind the captions' ends (batch, 77, width) between captions.

    So nothing can be read from the padding, the meaning stays in the words, and weighting a word
    acts on the picture.
    """
    other = torch.randperm(len(hidden))
    behind = torch.maximum(lengths, lengths[other])[:, None] <= torch.arange(hidden.shape[1])
    return torch.where(behind[..., None], hidden[other], hidden)


def load_tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer as Limner ships it."""
    return CLIPTokenizer.from_pretrained(TOKENIZER, local_files_only=True)
