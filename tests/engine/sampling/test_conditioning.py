"""Conditioning against transformers' own text encoder and arithmetic by hand."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import numpy as np
import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from transformers.models.clip.configuration_clip import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from limner.domain.attention import Span
from limner.domain.chunks import Chunk
from limner.domain.prompt import parse
from limner.engine.checkpoints.layouts import TOKENIZER
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.conditioning import Caches, Conditioner, weighted
from limner.errors import InvalidInput

LAYERS = 3


def make_encoder(layers: int = LAYERS) -> CLIPTextModel:
    """A tiny CLIP whose output has a mean, as trained ones have and fresh ones lack."""
    config = CLIPTextConfig(
        hidden_size=32,
        intermediate_size=64,
        projection_dim=32,
        num_attention_heads=4,
        num_hidden_layers=layers,
        bos_token_id=49406,
        eos_token_id=49407,
    )
    config.vocab_size = 49408
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = CLIPTextModel(config)
        for parameter in encoder.encoder.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        torch.nn.init.normal_(encoder.final_layer_norm.bias, mean=0.3, std=0.1)
    return encoder.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(TOKENIZER, local_files_only=True)


@pytest.fixture(scope="module")
def encoder() -> CLIPTextModel:
    return make_encoder()


@pytest.fixture
def conditioner(tokenizer: CLIPTokenizer, encoder: CLIPTextModel) -> Conditioner:
    return Conditioner(tokenizer, encoder, caches=Caches(1 << 20), model_sha256="a" * 64)


def read(text: str) -> tuple[Span, ...]:
    return parse(text, 20).entries[0].branches[0].spans


def direct(tokenizer: CLIPTokenizer, encoder: CLIPTextModel, text: str) -> Tensor:
    """transformers alone: its tokenizer's padding, its encoder's last hidden state."""
    ids = tokenizer(text, padding="max_length", truncation=True, return_tensors="pt")["input_ids"]
    return encoder(ids).last_hidden_state[0]


def by_hand(hidden: Tensor, weights: dict[int, float]) -> np.ndarray:
    """Weight the tokens at some positions and restore the mean, in float64."""
    before = hidden.double().numpy()
    after = before.copy()
    for position, weight in weights.items():
        after[position] *= weight
    return after * before.mean() / after.mean()


@pytest.mark.parametrize("text", ["", "a knight", "a red knight, blue sky, " * 9])
def test_a_plain_prompt_is_what_transformers_gives(
    conditioner: Conditioner, tokenizer: CLIPTokenizer, encoder: CLIPTextModel, text: str
) -> None:
    assert torch.equal(conditioner.encode(read(text)), direct(tokenizer, encoder, text))


def test_the_embedded_model_too(squire: Checkpoint) -> None:
    conditioner = Conditioner(
        squire.tokenizer, squire.text_encoder, caches=Caches(0), model_sha256="b"
    )
    expected = direct(squire.tokenizer, squire.text_encoder, "a mage, night")
    assert torch.equal(conditioner.encode(read("a mage, night")), expected)


def test_weights_multiply_the_hidden_state_and_the_mean_is_restored(
    conditioner: Conditioner, tokenizer: CLIPTokenizer, encoder: CLIPTextModel
) -> None:
    encoded = conditioner.encode(read("a (red:1.5) knight, [sky]"))
    expected = by_hand(
        direct(tokenizer, encoder, "a red knight, sky"), {2: 1.5, 5: 1 / 1.1}
    )  # start, a, red, knight, comma, sky
    assert np.abs(encoded.numpy() - expected).max() < 1e-5


def test_chunks_are_encoded_and_weighted_one_by_one(
    conditioner: Conditioner, tokenizer: CLIPTokenizer, encoder: CLIPTextModel
) -> None:
    encoded = conditioner.encode(read("a knight BREAK (forest:1.4) night"))
    assert encoded.shape == (154, 32)
    assert torch.equal(encoded[:77], direct(tokenizer, encoder, "a knight"))
    expected = by_hand(direct(tokenizer, encoder, "forest night"), {1: 1.4})
    assert np.abs(encoded[77:].numpy() - expected).max() < 1e-5


def test_spans_are_tokenised_by_themselves(conditioner: Conditioner) -> None:
    assert len(conditioner.chunks(read("kni(ght:1.2)"))[0].tokens) > len(
        conditioner.chunks(read("knight"))[0].tokens
    )


@pytest.mark.parametrize("skip", [2, 3])
def test_clip_skip_is_a_shorter_encoder_with_the_same_end(
    conditioner: Conditioner, tokenizer: CLIPTokenizer, encoder: CLIPTextModel, skip: int
) -> None:
    shorter = make_encoder(LAYERS + 1 - skip)
    found = shorter.load_state_dict(encoder.state_dict(), strict=False)
    assert not found.missing_keys
    expected = direct(tokenizer, shorter, "a knight in the rain")
    assert torch.allclose(conditioner.encode(read("a knight in the rain"), skip), expected)


@pytest.mark.parametrize("skip", [0, LAYERS + 1])
def test_clip_skip_beyond_the_layers_is_refused(conditioner: Conditioner, skip: int) -> None:
    with pytest.raises(InvalidInput, match=f"clip_skip is {skip}; .* {LAYERS} layers"):
        conditioner.encode(read("a"), skip)


def test_more_than_eight_chunks_are_refused_with_both_numbers(conditioner: Conditioner) -> None:
    spans = read(" BREAK ".join("a" * 9))
    assert conditioner.count_chunks(spans) == 9
    with pytest.raises(InvalidInput, match=r"9 chunks .* at most 8"):
        conditioner.encode(spans)


def test_a_mean_near_zero_is_not_restored() -> None:
    hidden = torch.tensor([[1.0, -1.0]] * 77)
    hidden[0, 0] += 1e-6
    chunk = Chunk((5, 6), (1.5, -2.0))
    expected = hidden * torch.tensor(chunk.padded().weights)[:, None]
    assert torch.equal(weighted(hidden, chunk), expected)


@pytest.fixture
def calls(encoder: CLIPTextModel) -> Iterator[list[int]]:
    """Grows by one with each run of the encoder."""
    seen: list[int] = []
    hook = encoder.register_forward_hook(lambda *_: seen.append(1))
    yield seen
    hook.remove()


def test_the_cache_knows_everything_the_result_depends_on(
    conditioner: Conditioner, calls: list[int]
) -> None:
    first = conditioner.encode(read("a knight"))
    assert torch.equal(conditioner.encode(read("a knight")), first)
    assert len(calls) == 1
    for count, (text, skip) in enumerate([("a knight", 2), ("a (knight:1.2)", 1), ("a cat", 1)], 2):
        assert not torch.equal(conditioner.encode(read(text), skip), first)
        assert len(calls) == count
    with patch.object(conditioner, "model_sha256", "c" * 64):
        conditioner.encode(read("a knight"))
    assert len(calls) == 5


def test_a_masked_shorter_context_equals_a_run_apart(conditioner: Conditioner) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        unet = UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(32, 32),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=4,
        ).eval()
        latents = torch.randn(2, 4, 8, 8)
    short, long = conditioner.encode(read("a")), conditioner.encode(read("a BREAK b"))
    context = torch.zeros(2, 154, 32)
    context[0, :77], context[1] = short, long
    mask = torch.ones(2, 154, dtype=torch.bool)
    mask[0, 77:] = False
    with torch.inference_mode():
        together = unet(latents, 10, context, encoder_attention_mask=mask).sample
        apart = unet(latents[:1], 10, short[None]).sample
        other = unet(latents[1:], 10, long[None]).sample
        ignored = unet(latents[:1], 10, context[:1]).sample
    assert torch.allclose(together[:1], apart, atol=1e-5)
    assert torch.allclose(together[1:], other, atol=1e-5)
    assert not torch.allclose(ignored, apart, atol=1e-4)
