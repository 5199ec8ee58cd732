"""Conditioning: weighted spans -> what the UNet's cross-attention reads.

Each chunk of 77 tokens is encoded by itself, so that its numbers depend on nothing else. Weights
multiply the last hidden state, after the final layer norm; then the chunk is scaled back to the
mean that it had before. This is AUTOMATIC1111's "original" emphasis, one prompt at a time. Vectors
of embeddings stand in the places of tokens, for one call of the encoder alone.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers.models.clip.modeling_clip import CLIPTextModel
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from limner.domain.attention import Span
from limner.domain.chunks import Chunk, Remembered, check_chunks, cut
from limner.domain.embeddings import Embedding, Vector
from limner.engine.adapters.embeddings import bound
from limner.engine.adapters.resident import Find, find_nothing
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

Embeddings = tuple[Embedding, ...] | None
"""The words of a prompt that are vectors; None as none."""


class Caches:
    """What conditioners of any models keep together: at most so many bytes of encoded chunks.

    And an eighth of that more of their tokens, and of embeddings.
    """

    def __init__(self, capacity: int) -> None:
        self.encoded: ByteCache[Tensor] = ByteCache(capacity)
        self.cut: ByteCache[tuple[Chunk, ...]] = ByteCache(capacity // 8)
        self.vectors: ByteCache[Tensor] = ByteCache(capacity // 8)


class Conditioner:
    """Encodes spans with one checkpoint's tokenizer and text encoder."""

    def __init__(
        self,
        tokenizer: CLIPTokenizer,
        text_encoder: CLIPTextModel,
        *,
        caches: Caches,
        model_sha256: str,
        find: Find = find_nothing,
    ) -> None:
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder
        self.model_sha256 = model_sha256
        self.layers: int = text_encoder.config.num_hidden_layers
        self._encoded, self._cut, self._vectors = caches.encoded, caches.cut, caches.vectors
        self._find = find
        self._now = threading.local()

    @classmethod
    def of(cls, checkpoint: Checkpoint, caches: Caches, find: Find = find_nothing) -> Conditioner:
        """With a loaded checkpoint's own; ``find`` knows the files of embeddings."""
        parts = checkpoint.tokenizer, checkpoint.text_encoder
        return cls(*parts, caches=caches, model_sha256=checkpoint.info.stored_sha256, find=find)

    def caches(self) -> dict[str, CacheStats]:
        """How its caches do."""
        caches = {"prompts": self._encoded, "chunks": self._cut, "embeddings": self._vectors}
        return {name: cache.stats for name, cache in caches.items()}

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """CLIP's tokens of each text by itself, without start and end."""
        return self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]

    def chunks(self, spans: Sequence[Span], embeddings: Embeddings = ()) -> tuple[Chunk, ...]:
        """The spans cut into chunks of at most 75 tokens."""
        key = tuple(spans)
        tokenize = Remembered(self.tokenize)
        return self._cut.get(
            (self.model_sha256, key, embeddings),
            lambda: cut(key, tokenize, embeddings or ()),
            lambda made: _weight(key, made),
        )

    def count_chunks(self, spans: Sequence[Span], embeddings: Embeddings = ()) -> int:
        """How many chunks of 77 tokens the spans need."""
        return len(self.chunks(spans, embeddings))

    def check(self, embeddings: Embeddings) -> None:
        """Read those that are not in memory. Raises ``InvalidInput`` for what cannot be read."""
        for embedding in embeddings or ():
            self._vectors_of(embedding)

    def encode(
        self,
        spans: Sequence[Span],
        clip_skip: int = 1,
        uses: Uses = (),
        embeddings: Embeddings = (),
    ) -> Tensor:
        """The context of one prompt: float32 (chunks * 77, width) on the encoder's device.

        ``clip_skip`` N reads hidden state -N (1 is the last), then the final layer norm;
        ``uses`` are the adapters that the encoder has for this prompt, ``embeddings`` the words
        that are vectors.

        Raises:
            InvalidInput: more chunks than ``CHUNKS_MAX``, a ``clip_skip`` below the first layer,
                or an embedding that cannot be read.
        """
        if not 1 <= clip_skip <= self.layers:
            raise InvalidInput(
                "clip_skip",
                f"clip_skip is {clip_skip}; this model's text encoder has {self.layers} layers, "
                f"so 1 to {self.layers} are possible.",
            )
        chunks = self.chunks(spans, embeddings)
        check_chunks("prompt", [len(chunks)])
        return torch.cat([self._encode(chunk, clip_skip, uses) for chunk in chunks])

    @cached_property
    def _adapted(self) -> Adapted:
        twin = Adapted(TEXT, self.text_encoder)
        twin.model.embeddings.token_embedding.register_forward_hook(self._put)
        return twin

    def _put(self, _layer: Any, _ids: Any, read: Tensor) -> None:
        """Put what this thread encodes with into the encoder's reading of tokens."""
        for place, vector in self._now.vectors:
            read[0, place] = vector

    def _vectors_of(self, embedding: Embedding) -> Tensor:
        """(vectors, width) float32, on the host."""
        width: int = self.text_encoder.config.hidden_size
        return self._vectors.get(
            (embedding, width),
            lambda: bound(embedding, self._find, width),
            lambda made: made.numel() * made.element_size(),
        )

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
        tokens = chunk.padded().tokens
        vectors = [(n, self._vector(t)) for n, t in enumerate(tokens) if isinstance(t, Vector)]
        ids = [0 if isinstance(token, Vector) else token for token in tokens]
        if not uses and not vectors:
            return self._read(self.text_encoder, ids, clip_skip)
        self._now.vectors = vectors
        with self._adapted.using([uses]) as encoder:
            return self._read(encoder, ids, clip_skip)

    def _vector(self, vector: Vector) -> Tensor:
        weight = next(self.text_encoder.parameters())
        whole = self._vectors_of(vector.embedding)
        return to_device(whole[vector.row].to(weight.dtype), weight.device)

    def _read(self, encoder: CLIPTextModel, tokens: list[int], clip_skip: int) -> Tensor:
        device = next(self.text_encoder.parameters()).device
        ids = to_device(torch.tensor([tokens]), device)
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
