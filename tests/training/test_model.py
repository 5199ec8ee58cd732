"""The parts that are set by hand, and the arithmetic of training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training import colourspace
from training.autoencoder import SCALE, build_autoencoder
from training.batches import Noising, timesteps
from training.model import build_unet
from training.painter.picture import paint
from training.scene import sample
from training.text import TextEncoder, load_tokenizer, shuffle_padding

FACTOR = 16


@pytest.fixture(scope="module")
def sprites():
    rng = np.random.default_rng(0)
    drawn = [paint(scene, rng) for scene in (sample(rng) for _ in range(20))]
    return np.stack([sprite for sprite in drawn if sprite.shape == (32, 32, 3)][:3])


@pytest.fixture(scope="module")
def vae():
    """The autoencoder as it ships: rounded to float16."""
    return build_autoencoder().half().float()


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return TextEncoder(load_tokenizer()).eval()


def blocks(sprites: np.ndarray) -> torch.Tensor:
    image = torch.from_numpy(sprites).permute(0, 3, 1, 2).float() / 127.5 - 1
    return image.repeat_interleave(FACTOR, 2).repeat_interleave(FACTOR, 3)


def test_colours_survive_the_latents(sprites):
    assert np.array_equal(colourspace.to_sprites(colourspace.to_latents(sprites)), sprites)


def test_latents_have_about_unit_deviation(sprites):
    deviation = colourspace.to_latents(sprites).std((0, 2, 3))
    assert ((deviation > 0.6) & (deviation < 1.5)).all()


@torch.no_grad()
def test_the_autoencoder_computes_the_colour_map(vae, sprites):
    latents = vae.encode(blocks(sprites)).latent_dist.mean * SCALE
    assert latents.shape == (len(sprites), 4, 32, 32)
    assert (latents - colourspace.to_latents(sprites)).abs().max() < 0.01


@torch.no_grad()
def test_the_autoencoder_keeps_flat_blocks_above_35_decibels(vae, sprites):
    image = blocks(sprites)
    again = vae.decode(vae.encode(image).latent_dist.mean).sample
    assert -10 * torch.log10(((again - image) / 2).square().mean()) > 35


@torch.no_grad()
def test_the_autoencoder_takes_any_photo(vae):
    photo = torch.rand(1, 3, 576, 640) * 2 - 1
    again = vae.decode(vae.encode(photo).latent_dist.mean).sample
    assert again.shape == photo.shape
    assert again.isfinite().all()


@torch.no_grad()
def test_a_fresh_unet_answers_about_its_input():
    x = torch.randn(2, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    guess = build_unet()(x, torch.tensor([999, 900]), torch.zeros(2, 77, 128)).sample
    assert torch.corrcoef(torch.stack([x.flatten(), guess.flatten()]))[0, 1] > 0.97


@torch.no_grad()
def test_the_whole_vocabulary_says_the_same_as_the_compact_one(encoder):
    prompt = "knight with red armor, flibbertigibbet, desert"
    whole = encoder.full()
    ids = encoder.tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt")
    compact = encoder(encoder.tokens([prompt])[0])
    assert torch.allclose(whole(input_ids=ids.input_ids).last_hidden_state, compact, atol=1e-5)


def test_known_words_have_rows_and_others_share_the_unknown(encoder):
    rows, lengths = encoder.tokens(["red knight", "gribble zorp"])
    assert (rows[0, 1:3] > 0).all()
    assert (rows[1, 1 : lengths[1] - 1] == 0).all()


def test_shuffling_moves_only_what_lies_behind_both_ends():
    torch.manual_seed(1)
    hidden = torch.arange(3.0)[:, None, None].expand(3, 10, 2).clone()
    lengths = torch.tensor([3, 5, 4])
    shuffled = shuffle_padding(hidden, lengths)
    for row, length in enumerate(lengths):
        assert (shuffled[row, :length] == row).all()
    assert sorted(shuffled[:, -1, 0].tolist()) == [0.0, 1.0, 2.0]


def test_timesteps_cover_the_range_with_few_small_ones():
    rng = np.random.default_rng(0)
    t = torch.cat([timesteps(8, rng) for _ in range(500)])
    assert t.min() >= 0
    assert t.max() <= 999
    assert 0.04 < (t < 150).float().mean() < 0.08
    assert 0.2 < (t > 750).float().mean() < 0.35


def test_noising_keeps_the_variance_and_weighs_noise_more():
    noising, t = Noising(), torch.tensor([0, 500, 999])
    shares = noising.noised(torch.ones(3, 1, 1, 1), torch.zeros(3, 1, 1, 1), t).flatten()
    assert torch.allclose(shares**2, noising.alphas[t])
    assert (noising.weights(t).diff() > 0).all()
