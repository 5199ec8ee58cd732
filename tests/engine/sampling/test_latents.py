"""The VAE's two directions, sizes and masks, against diffusers' own image processor."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers.image_processor import VaeImageProcessor
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from limner.domain.params import Generation, Source
from limner.engine.batching.request import Request
from limner.engine.sampling import latents
from limner.engine.sampling.noise import NoiseStream
from limner.errors import InvalidInput, NotFinite

SCALE, SCALING = 4, 0.18215


@pytest.fixture(scope="module")
def vae() -> AutoencoderKL:
    """Three levels of eight channels, random weights: latents of a quarter of the side."""
    torch.manual_seed(5)
    levels = {"block_out_channels": (8, 8, 8), "norm_num_groups": 4, "latent_channels": 4}
    blocks = {
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
    }
    return AutoencoderKL(**levels, **blocks, scaling_factor=SCALING).eval()


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def some_latent(height: int = 6, width: int = 10) -> torch.Tensor:
    return torch.randn(4, height, width, generator=torch.Generator().manual_seed(2)) * SCALING


def test_decodes_as_a_pipeline_does(vae):
    latent = some_latent()
    with torch.inference_mode():
        image = vae.decode(latent[None] / SCALING, return_dict=False)[0]
    theirs = VaeImageProcessor(vae_scale_factor=SCALE).postprocess(image)[0]
    ours = latents.decode(vae, latent, SCALING)
    assert ours.dtype == np.uint8
    assert ours.shape == (24, 40, 3)
    assert np.array_equal(ours, np.asarray(theirs))
    assert ours.std() > 5


def test_encodes_as_img2img_does(vae):
    pixels = picture(40, 24)
    generator = torch.Generator().manual_seed(11)
    batch = VaeImageProcessor(vae_scale_factor=SCALE).preprocess(Image.fromarray(pixels))
    with torch.inference_mode():
        theirs = SCALING * vae.encode(batch).latent_dist.sample(generator)[0]
    noise = NoiseStream("torch-cpu", 11).draw((4, 6, 10))
    ours = latents.encode(vae, pixels, noise, SCALING)
    assert ours.shape == (4, 6, 10)
    assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_latent_that_is_not_finite_is_refused(vae, bad):
    latent = some_latent()
    latent[1, 2, 3] = bad
    with pytest.raises(NotFinite, match="latent"):
        latents.decode(vae, latent, SCALING)


class Overflowing:
    """A VAE whose values leave every number type's range."""

    dtype, device = torch.float32, torch.device("cpu")

    def decode(self, batch: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=torch.full_like(batch, torch.inf)[:, :3])

    def encode(self, batch: torch.Tensor) -> SimpleNamespace:
        mean = torch.full_like(batch, torch.inf)
        std = torch.zeros_like(mean)
        return SimpleNamespace(
            latent_dist=SimpleNamespace(mean=mean, std=std, parameters=torch.cat([mean, std]))
        )


def test_a_vae_that_overflows_is_refused() -> None:
    vae = Overflowing()
    with pytest.raises(NotFinite, match="decoded"):
        latents.decode(vae, some_latent(), 1.0)
    with pytest.raises(NotFinite, match="encoded"):
        latents.encode(vae, picture(4, 4), np.zeros((3, 4, 4), np.float32), 1.0)


@pytest.mark.parametrize(
    ("mode", "theirs"), [("crop", "crop"), ("fill", "fill"), ("stretch", "default")]
)
@pytest.mark.parametrize("size", [(626, 626), (100, 37), (37, 100), (64, 96), (301, 7)])
def test_resizes_as_diffusers_does(size, mode, theirs):
    pixels = picture(*size)
    processor = VaeImageProcessor(vae_scale_factor=8)
    expected = processor.resize(Image.fromarray(pixels), 96, 64, resize_mode=theirs)
    ours = latents.resize(pixels, 64, 96, mode)
    assert np.array_equal(ours, np.asarray(expected))
    ours[0, 0] = 0  # the caller's own to write to


@given(
    width=st.integers(1, 3000),
    height=st.integers(1, 3000),
    mode=st.sampled_from(["crop", "fill", "stretch"]),
)
@settings(deadline=None, max_examples=40)
def test_any_source_is_resized_or_refused_in_a_sentence(width, height, mode):
    pixels = np.zeros((height, width, 3), np.uint8)
    if max(width / height, height / width) < 60 or mode == "stretch":
        assert latents.resize(pixels, 64, 128, mode).shape == (128, 64, 3)
        return
    try:
        latents.resize(pixels, 64, 128, mode)
    except InvalidInput as error:
        refused = error.field, f"{width}x{height}" in str(error)
        assert refused == ("image", True)


@pytest.mark.parametrize("mode", ["crop", "fill"])
def test_a_thread_of_pixels_is_refused(mode):
    with pytest.raises(InvalidInput, match=r"1x3000.*use 'stretch'"):
        latents.resize(np.zeros((3000, 1, 3), np.uint8), 1024, 1024, mode)


@pytest.mark.parametrize("size", [(64, 96), (626, 300), (50, 50)])
def test_masks_are_binary_and_nearest_as_in_inpainting(size):
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (9, 7), np.uint8)
    mask = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
    processor = VaeImageProcessor(
        vae_scale_factor=8, do_normalize=False, do_binarize=True, do_convert_grayscale=True
    )
    theirs = processor.preprocess(Image.fromarray(mask), height=96, width=64)
    ours = latents.resize_mask(mask, 64, 96, "stretch")
    assert np.array_equal(ours / 255.0, theirs[0, 0].numpy())
    nearest = F.interpolate(theirs, size=(12, 8))[0, 0]
    assert torch.equal(latents.latent_mask(ours, 8), nearest.bool())
    assert 0.1 < ours.mean() / 255 < 0.9


def test_a_mask_may_be_rgb():
    grey = np.zeros((64, 64), np.uint8)
    grey[:, 32:] = 255
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    for mode in ("crop", "fill", "stretch"):
        assert np.array_equal(
            latents.resize_mask(rgb, 32, 48, mode), latents.resize_mask(grey, 32, 48, mode)
        )


def half_mask() -> np.ndarray:
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    return mask


def test_without_a_feather_the_mask_decides_each_pixel():
    drawn, source, mask = picture(64, 64, 1), picture(64, 64, 2), half_mask()
    laid = latents.overlay(drawn, source, latents.feather(mask, 0))
    assert np.array_equal(laid[:, 32:], drawn[:, 32:])
    assert np.array_equal(laid[:, :32], source[:, :32])


@given(blur=st.integers(1, 64), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_a_feather_blends_and_keeps_what_it_does_not_reach(blur, seed):
    drawn, source = picture(64, 64, seed), picture(64, 64, seed + 1)
    soft = latents.feather(half_mask(), blur)
    laid = latents.overlay(drawn, source, soft)
    assert np.array_equal(laid[soft == 0], source[soft == 0])
    assert np.array_equal(laid[soft == 255], drawn[soft == 255])
    weight = soft[:, :, None] / 255
    assert np.abs(laid - (weight * drawn + (1 - weight) * source)).max() <= 0.5 + 1e-9
    assert np.all(np.diff(soft[20].astype(int)) >= 0), "rises from the kept side to the drawn"


def with_source(**fields) -> tuple[Generation, dict[str, np.ndarray]]:
    """An img2img Generation of 64x64 from a 100x60 picture, and its pixels."""
    pixels = {}
    for name, data in (("sha256", picture(100, 60)), ("mask_sha256", half_mask())):
        digest = hashlib.sha256(data.tobytes()).hexdigest()
        if name == "sha256" or fields.get("masked"):
            pixels[digest] = data
            fields[name] = digest
    fields.pop("masked", None)
    source = Source(**fields)
    return Generation(prompt="x", seed=3, width=64, height=64, source=source), pixels


def checkpoint(vae: AutoencoderKL) -> SimpleNamespace:
    return SimpleNamespace(vae=vae, vae_scale=SCALE, latent_channels=4, latent_scaling=SCALING)


def test_a_source_is_resized_and_encoded_by_the_images_own_stream(vae):
    generation, pixels = with_source(resize_mode="fill")
    stream = NoiseStream("philox", 3)
    prepared = latents.prepare_source(generation, pixels, checkpoint(vae), stream)
    resized = latents.resize(picture(100, 60), 64, 64, "fill")
    noise = NoiseStream("philox", 3).draw((4, 16, 16))
    assert torch.equal(prepared.latent, latents.encode(vae, resized, noise, SCALING))
    assert prepared.mask is None
    assert stream.draws == 1


def test_a_masked_source_comes_with_its_latent_mask(vae):
    generation, pixels = with_source(masked=True, resize_mode="stretch")
    stream = NoiseStream("philox", 3)
    prepared = latents.prepare_source(generation, pixels, checkpoint(vae), stream)
    assert prepared.mask.shape == (16, 16)
    assert prepared.mask.dtype == torch.bool
    assert prepared.mask[:, 8:].all()
    assert not prepared.mask[:, :8].any()


def test_the_finished_picture_is_laid_over_its_source():
    generation, pixels = with_source(masked=True, resize_mode="stretch", mask_blur=2)
    request = Request("req", generation, "me", print, pixels)
    drawn = picture(64, 64, 8)
    laid = latents.compose(request, drawn)
    source = latents.resize(picture(100, 60), 64, 64, "stretch")
    assert np.array_equal(laid[:, :20], source[:, :20])
    assert np.array_equal(laid[:, 44:], drawn[:, 44:])


def test_the_engines_thread_resizes_no_source_again(monkeypatch):
    generation, pixels = with_source(masked=True)
    request = Request("req", generation, "me", print, pixels)
    first = latents.fitted(request)  # by preparation, on its own thread
    monkeypatch.setattr(Image.Image, "resize", None)
    latents.compose(request, picture(64, 64, 8))
    assert latents.fitted(request) is first


def test_without_a_mask_the_finished_picture_is_as_drawn():
    generation, pixels = with_source()
    drawn = picture(64, 64, 8)
    made = latents.compose(Request("req", generation, "me", print, pixels), drawn)
    assert np.array_equal(made, drawn)


@pytest.mark.parametrize(("field", "kept"), [("image", 1), ("mask", 0)])
def test_missing_pixels_are_named(vae, field, kept):
    generation, pixels = with_source(masked=True)
    del pixels[list(pixels)[1 - kept]]
    with pytest.raises(InvalidInput, match=f"The {field} ") as caught:
        latents.prepare_source(generation, pixels, checkpoint(vae), NoiseStream("philox", 3))
    assert caught.value.field == field
