"""Between pixels and latents: the VAE's two directions, and what img2img and masks need.

Pixels are RGB, uint8, (height, width, 3); a latent is (channels, height / scale, width / scale).
Rounding, resizing and masks are those of diffusers' ``VaeImageProcessor``, so that pictures can
be compared with its pipelines'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from limner.domain.params import Generation, ResizeMode
from limner.domain.tiling import Axes
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import Pixels
from limner.engine.sampling.noise import Floats, NoiseStream
from limner.engine.sampling.transfer import to_device
from limner.engine.tiling.pieces import PiecewiseVae
from limner.engine.tiling.seamless import SeamlessVae
from limner.errors import InvalidInput, NotFinite
from limner.imaging.fitting import fit, fit_mask, fit_pixels
from limner.imaging.masking import Region, feather, filled, overlay
from limner.imaging.seams import around

if TYPE_CHECKING:
    from limner.engine.checkpoints.weights import Checkpoint

_fitted: WeakKeyDictionary[Request, Mapping[str, Pixels]] = WeakKeyDictionary()
_regions: WeakKeyDictionary[Request, Region] = WeakKeyDictionary()
_MASK_EDGE = 128  # 0.5 of 255: masks are repainted from here up, as diffusers binarizes


@dataclass(frozen=True, eq=False)
class Source:
    """What img2img starts from: ``latent`` (C, h, w) float32 on the model's device; ``mask``
    (h, w) bool, True where the picture is repainted, or None."""

    latent: Tensor
    mask: Tensor | None


def decode(vae: Any, latent: Tensor, scaling: float) -> Pixels:
    """RGB (H, W, 3) of one latent (C, h, w); ``scaling`` is the VAE's scaling factor.

    Raises NotFinite when the latent, or the picture, holds values that are not numbers.
    """
    image, pixels = _decoded(vae, latent, scaling)
    # Asked once, at the end: each question waits for all that a GPU has to do.
    finite = torch.stack([torch.isfinite(values).all() for values in (latent, image)]).tolist()
    if not finite[0]:
        raise NotFinite("The model's latent holds values that are not finite numbers.")
    if not finite[1]:
        raise NotFinite("The VAE decoded the latent to values that are not finite numbers.")
    return pixels.cpu().numpy()


@torch.inference_mode()
def _decoded(vae: Any, latent: Tensor, scaling: float) -> tuple[Tensor, Tensor]:
    """What the VAE makes of the latent, -1 to 1, and that as uint8 (H, W, 3)."""
    batch = (latent / scaling)[None].to(vae.device, vae.dtype)
    image = vae.decode(batch).sample[0]
    unit = (image * 0.5 + 0.5).clamp(0, 1).float()
    return image, (unit * 255).round().byte().permute(1, 2, 0).contiguous()


def drawn(request: Request, checkpoint: Checkpoint, latent: Tensor) -> Pixels:
    """RGB (H, W, 3) that the checkpoint's VAE makes of what ``request`` draws; see ``decode``."""
    vae = vae_of(request.generation, checkpoint)
    return decode(vae, latent, checkpoint.latent_scaling)


def vae_of(generation: Generation, checkpoint: Checkpoint) -> Any:
    """The checkpoint's VAE, as it takes the pictures of ``generation``."""
    vae, side, axes = checkpoint.vae, generation.vae_tile, generation.axes
    # Pieces go round an edge themselves.
    whole = [side is None or side >= each for each in (generation.width, generation.height)]
    meeting = Axes(axes.x and whole[0], axes.y and whole[1])
    if any(meeting):
        vae = SeamlessVae(vae, meeting)
    return vae if side is None else PiecewiseVae(vae, side, checkpoint.vae_scale, axes)


def encode(
    vae: Any, pixels: Pixels, noise: Floats, scaling: float, *, hidden: Pixels | None = None
) -> Tensor:
    """One sample of the posterior of RGB ``pixels``, scaled: (C, h, w) float32.

    ``noise``: standard normal (C, h, w), from the image's own stream. Where the mask ``hidden``
    (H, W) repaints, the picture is grey. Raises NotFinite as ``decode`` does.
    """
    posterior = _posterior(vae, pixels, hidden)
    if not torch.isfinite(posterior.parameters).all():
        raise NotFinite("The VAE encoded the source to values that are not finite numbers.")
    drawn = to_device(torch.from_numpy(noise)[None], posterior.mean.device).to(posterior.mean)
    return (scaling * (posterior.mean + posterior.std * drawn))[0].float()


@torch.inference_mode()
def _posterior(vae: Any, pixels: Pixels, hidden: Pixels | None) -> Any:
    """The VAE's diagonal normal over latents (Kingma and Welling 2014) for one picture."""
    unit = torch.from_numpy(pixels.astype(np.float32) / 255.0)
    signed = 2.0 * unit - 1.0
    if hidden is not None:
        signed[torch.from_numpy(hidden >= _MASK_EDGE)] = 0.0
    batch = to_device(signed.permute(2, 0, 1)[None], vae.device)
    return vae.encode(batch.to(vae.dtype)).latent_dist


def fitted(request: Request) -> Mapping[str, Pixels]:
    """Source and mask at the size to draw, resized once: off the engine's thread, by ``begin``."""
    if request not in _fitted:
        g = request.generation
        cut = {} if g.source is None or not g.source.only_masked else _cut_out(request)
        _fitted[request] = fit_pixels(g, {**request.pixels, **cut})
    return _fitted[request]


def fitted_bytes(request: Request) -> int:
    """What ``fitted`` will hold beside the pictures as they came.

    Of a picture that is only repainted where it is masked, that is its mask twice more, and at the
    end the picture once more.
    """
    g, pictures = request.generation, request.pixels.values()
    whole = g.source is not None and g.source.only_masked
    other = [each for each in pictures if whole or each.shape[:2] != (g.height, g.width)]
    fitted = g.height * g.width * sum(3 if each.ndim == 3 else 1 for each in other)
    again = sum(each.nbytes * (1 if each.ndim == 3 else 2) for each in pictures) if whole else 0
    return fitted + again


def _cut_out(request: Request) -> dict[str, Pixels]:
    """Picture and mask of the region that is drawn, at its size, under the names of the whole."""
    source = request.generation.source
    assert source is not None, "only a picture has a region"
    return dict(zip(source.names, region(request).fitted(), strict=True))


def prepare_source(
    generation: Generation,
    pixels: Mapping[str, Pixels],
    checkpoint: Checkpoint,
    stream: NoiseStream,
) -> Source:
    """The source's latent, by the next draw of ``stream``, and its mask.

    ``pixels``: picture and mask by SHA-256. Raises InvalidInput when one is not there or cannot
    be brought to the size of the picture, NotFinite when the VAE fails on it.
    """
    source = generation.source
    assert source is not None, "only img2img and inpainting have a source"
    picture, mask = at_size(generation, pixels)
    scale = checkpoint.vae_scale
    size = latent_size(generation, scale)
    if mask is not None and source.mask_fill != "original":
        picture = filled(picture, mask)
    noise = stream.draw((checkpoint.latent_channels, *size))
    vae = vae_of(generation, checkpoint)
    latent = encode(vae, padded(picture, size, scale), noise, checkpoint.latent_scaling)
    return Source(
        latent, None if mask is None else to_device(latent_mask(mask, scale), latent.device)
    )


def latent_size(generation: Generation, scale: int) -> tuple[int, int]:
    """Height and width in latent pixels: enough for every pixel of the picture.

    A size that is no multiple of ``scale`` (520 where one latent pixel spans 16) is drawn a
    little larger and cut at the right and below by ``compose``.
    """
    return -(-generation.height // scale), -(-generation.width // scale)


def padded(picture: Pixels, size: tuple[int, int], scale: int) -> Pixels:
    """A picture or a mask, its last row and column repeated up to ``size`` latent pixels."""
    below, right = (n * scale - side for n, side in zip(size, picture.shape, strict=False))
    return np.pad(picture, ((0, below), (0, right), (0, 0))[: picture.ndim], mode="edge")


def compose(request: Request, drawn: Pixels) -> Pixels:
    """The finished picture, cut to its size: for inpainting, laid over the source by the mask.

    Where the feathered mask is 0 the source's pixels are kept exactly.
    """
    generation = request.generation
    drawn = np.ascontiguousarray(drawn[: generation.height, : generation.width])
    if generation.source is None or generation.source.mask_sha256 is None:
        return drawn
    if generation.source.only_masked:
        return region(request).pasted(drawn)
    picture, mask = at_size(generation, fitted(request))
    assert mask is not None, "a named mask is found or refused"
    blur = generation.source.blur
    wide, inside = around(mask, generation.axes, 4 * max(blur))
    return overlay(drawn, picture, feather(wide, blur)[inside])


def region(request: Request) -> Region:
    """What of its picture a request draws that repaints only the masked part of one."""
    if request not in _regions:
        g, source = request.generation, request.generation.source
        assert source is not None, "only a picture has a region"
        picture = _named(request.pixels, source.sha256, "image")
        mask = _named(request.pixels, str(source.mask_sha256), "mask")
        whole = resize_mask(mask, picture.shape[1], picture.shape[0], "stretch")
        _regions[request] = Region(picture, whole, source, (g.width, g.height))
    return _regions[request]


def at_size(generation: Generation, pixels: Mapping[str, Pixels]) -> tuple[Pixels, Pixels | None]:
    """Source (H, W, 3) and mask (H, W) at the size of the picture to draw."""
    source = generation.source
    assert source is not None
    size = (generation.width, generation.height)
    picture = resize(_named(pixels, source.sha256, "image"), *size, source.resize_mode)
    if source.mask_sha256 is None:
        return picture, None
    return picture, resize_mask(
        _named(pixels, source.mask_sha256, "mask"), *size, source.resize_mode
    )


def _named(pixels: Mapping[str, Pixels], sha256: str, field: str) -> Pixels:
    if sha256 not in pixels:
        raise InvalidInput(field, f"The {field} {sha256[:12]}... is not here; send its pixels.")
    return pixels[sha256]


def resize(pixels: Pixels, width: int, height: int, mode: ResizeMode) -> Pixels:
    """``pixels`` brought to ``width`` x ``height``; see ``imaging.fitting.fit``."""
    return np.asarray(fit(Image.fromarray(pixels), width, height, mode)).copy()


def resize_mask(mask: Pixels, width: int, height: int, mode: ResizeMode) -> Pixels:
    """A mask, grey (H, W) or RGB, brought to size and made binary: 0 keeps, 255 repaints."""
    return np.asarray(fit_mask(Image.fromarray(mask), width, height, mode))


def latent_mask(mask: Pixels, scale: int) -> Tensor:
    """(h, w) bool of a binary mask (H, W): the nearest pixel, as diffusers takes it."""
    return torch.from_numpy(mask[::scale, ::scale] >= _MASK_EDGE)
