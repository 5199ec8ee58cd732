"""Conditioning: weighted spans -> what the UNet's cross-attention reads.

Each chunk of 77 tokens is encoded by itself, so that its numbers depend on nothing else. Weights
multiply the last hidden state, after the final layer norm; then the chunk is scaled back to the
mean that it had before. This is AUTOMATIC1111's "original" emphasis, one prompt at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor
from transformers.models.clip.modeling_clip import CLIPTextModel
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from limner.domain.attention import Span
from limner.domain.chunks import Chunk, Remembered, check_chunks, cut
from limner.engine.adapters.rows import Adapted, Uses
from limner.engine.adapters.targets import TEXT
from limner.engine.batching.client import CacheStats
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.caches import ByteCache
from limner.engine.sampling.transfer import to_device
from limner.errors import InvalidInput

MEAN_MIN = 1e-4
"""A mean below this share of the mean magnitude is noise, and is not restored."""

_TOKEN_BYTES = 100


class Caches:
    """What conditioners of any models keep together: at most so many bytes of encoded chunks.

    And an eighth of that more of their tokens.
    """

    def __init__(self, capacity: int) -> None:
        self.encoded: ByteCache[Tensor] = ByteCache(capacity)
        self.cut: ByteCache[tuple[Chunk, ...]] = ByteCache(capacity // 8)


class Conditioner:
    """Encodes spans with one checkpoint's tokenizer and text encoder."""

    def __init__(
        self,
        tokenizer: CLIPTokenizer,
        text_encoder: CLIPTextModel,
        *,
        caches: Caches,
        model_sha256: str,
    ) -> None:
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder
        self.model_sha256 = model_sha256
        self.layers: int = text_encoder.config.num_hidden_layers
        self._encoded, self._cut = caches.encoded, caches.cut

    @classmethod
    def of(cls, checkpoint: Checkpoint, caches: Caches) -> Conditioner:
        """With a loaded checkpoint's own."""
        parts = checkpoint.tokenizer, checkpoint.text_encoder
        return cls(*parts, caches=caches, model_sha256=checkpoint.info.sha256)

    def caches(self) -> dict[str, CacheStats]:
        """How its caches do."""
        return {"prompts": self._encoded.stats, "chunks": self._cut.stats}

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """CLIP's tokens of each text by itself, without start and end."""
        return self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]

    def chunks(self, spans: Sequence[Span]) -> tuple[Chunk, ...]:
        """The spans cut into chunks of at most 75 tokens."""
        key = tuple(spans)
        tokenize = Remembered(self.tokenize)
        own = (self.model_sha256, key)
        return self._cut.get(own, lambda: cut(key, tokenize), lambda made: _weight(key, made))

    def count_chunks(self, spans: Sequence[Span]) -> int:
        """How many chunks of 77 tokens the spans need."""
        return len(self.chunks(spans))

    def encode(self, spans: Sequence[Span], clip_skip: int = 1, uses: Uses = ()) -> Tensor:
        """The context of one prompt: float32 (chunks * 77, width) on the encoder's device.

        ``clip_skip`` N reads hidden state -N (1 is the last), then the final layer norm;
        ``uses`` are the adapters that the encoder has for this prompt.

        Raises:
            InvalidInput: more chunks than ``CHUNKS_MAX``, or a ``clip_skip`` below the first layer.
        """
        if not 1 <= clip_skip <= self.layers:
            raise InvalidInput(
                "clip_skip",
                f"clip_skip is {clip_skip}; this model's text encoder has {self.layers} layers, "
                f"so 1 to {self.layers} are possible.",
            )
        chunks = self.chunks(spans)
        check_chunks("prompt", [len(chunks)])
        return torch.cat([self._encode(chunk, clip_skip, uses) for chunk in chunks])

    @cached_property
    def _adapted(self) -> Adapted:
        return Adapted(TEXT, self.text_encoder)

    def _encode(self, chunk: Chunk, clip_skip: int, uses: Uses) -> Tensor:
        adapters = tuple((use.adapter.sha256, use.strength) for use in uses)
        return self._encoded.get(
            (self.model_sha256, clip_skip, chunk, adapters),
            lambda: weighted(self._hidden(chunk, clip_skip, uses), chunk),
            lambda hidden: hidden.numel() * hidden.element_size() + 77 * _TOKEN_BYTES,
        )

    @torch.inference_mode()
    def _hidden(self, chunk: Chunk, clip_skip: int, uses: Uses) -> Tensor:
        """The encoder's reading of one chunk, unweighted: float32 (77, width)."""
        if not uses:
            return self._read(self.text_encoder, chunk, clip_skip)
        with self._adapted.using([uses]) as encoder:
            return self._read(encoder, chunk, clip_skip)

    def _read(self, encoder: CLIPTextModel, chunk: Chunk, clip_skip: int) -> Tensor:
        device = next(self.text_encoder.parameters()).device
        ids = to_device(torch.tensor([chunk.padded().tokens]), device)
        if clip_skip == 1:
            return encoder(ids).last_hidden_state[0].float()
        states = encoder(ids, output_hidden_states=True).hidden_states
        return encoder.final_layer_norm(states[-clip_skip])[0].float()


@torch.inference_mode()
def weighted(hidden: Tensor, chunk: Chunk) -> Tensor:
    """``hidden`` (77, width) with each token multiplied by its weight, at the mean it had."""
    if all(weight == 1.0 for weight in chunk.weights):
        return hidden
    weights = to_device(torch.tensor(chunk.padded().weights, dtype=hidden.dtype), hidden.device)
    changed = hidden * weights[:, None]
    before, after = hidden.mean(), changed.mean()
    shares = before.abs() / hidden.abs().mean(), after.abs() / changed.abs().mean()
    # Chosen on the device: to ask for the number would wait for all that a GPU has to do.
    return torch.where(torch.minimum(*shares) < MEAN_MIN, changed, changed * (before / after))


def _weight(spans: tuple[Span, ...], chunks: tuple[Chunk, ...]) -> int:
    """About the bytes that spans and chunks take in memory."""
    texts = sum(len(span.text) + _TOKEN_BYTES for span in spans)
    return texts + _TOKEN_BYTES * sum(len(chunk.tokens) + 1 for chunk in chunks)
