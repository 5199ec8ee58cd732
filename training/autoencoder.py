"""Squire's autoencoder, set by hand: sixteen screen pixels square are one latent pixel.

The network must be one that diffusers calls AutoencoderKL, full of GroupNorm and SiLU, yet it has
only to average blocks and apply `colourspace.ENCODE`. So its residual blocks and its attention add
zero; colours travel as +x and -x in pairs of channels, and silu(x) - silu(-x) = x; and one pair of
channels carries a large constant, so that GroupNorm divides by that constant whatever the picture.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL

from training.colourspace import BIAS, DECODE, ENCODE

SCALE = 0.18215
CONSTANT = 30.0
"""The constant channels hold +30 and -30: far above any colour, and small enough for float16."""
GAIN = 15.0
"""The norms' weight: their output is the colour times GAIN over the pair's deviation."""
CHANNELS = 8
LOG_VARIANCE = -20.0


@torch.no_grad()
def build_autoencoder() -> AutoencoderKL:
    """The autoencoder with its weights set; factor 16, four latents, no noise to speak of."""
    levels = 5
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=(CHANNELS,) * levels,
        layers_per_block=1,
        norm_num_groups=1,
        latent_channels=4,
        sample_size=512,
        scaling_factor=SCALE,
    )
    for name, weight in vae.named_parameters():
        keep = "norm" in name and name.endswith("weight")
        weight.fill_(1.0) if keep else weight.zero_()
    _set_encoder(vae)
    _set_decoder(vae)
    return vae.eval()


def _gain() -> float:
    """What the final norm multiplies a colour by: GAIN over the deviation of all channels."""
    return GAIN / (CONSTANT * (2 / CHANNELS) ** 0.5)


def _pairs(matrix: np.ndarray, axis: int) -> torch.Tensor:
    """Each entry followed by its negative along an axis."""
    both = np.stack([matrix, -matrix], axis + 1)
    shape = list(matrix.shape)
    shape[axis] *= 2
    return torch.from_numpy(both.reshape(shape)).float()


def _set_encoder(vae: AutoencoderKL) -> None:
    encoder = vae.encoder
    encoder.conv_in.weight[:6, :, 1, 1] = _pairs(np.eye(3), 0)
    encoder.conv_in.bias[6:] = torch.tensor([CONSTANT, -CONSTANT])
    for block in encoder.down_blocks[:-1]:
        average = torch.eye(CHANNELS)[..., None, None].expand(-1, -1, 2, 2) / 4
        block.downsamplers[0].conv.weight[:, :, :2, :2] = average
    encoder.conv_norm_out.weight.fill_(GAIN)
    encoder.conv_out.weight[:4, :6, 1, 1] = _pairs(ENCODE / SCALE / _gain(), 1)
    encoder.conv_out.bias[:4] = torch.from_numpy(BIAS / SCALE).float()
    encoder.conv_out.bias[4:] = LOG_VARIANCE
    vae.quant_conv.weight[:, :, 0, 0] = torch.eye(8)
    vae.post_quant_conv.weight[:, :, 0, 0] = torch.eye(4)


def _set_decoder(vae: AutoencoderKL) -> None:
    decoder = vae.decoder
    decoder.conv_in.weight[:6, :, 1, 1] = _pairs(DECODE * SCALE, 0)
    decoder.conv_in.bias[:6] = _pairs(-DECODE @ BIAS, 0)
    decoder.conv_in.bias[6:] = torch.tensor([CONSTANT, -CONSTANT])
    for block in decoder.up_blocks[:-1]:
        block.upsamplers[0].conv.weight[:, :, 1, 1] = torch.eye(CHANNELS)
    decoder.conv_norm_out.weight.fill_(GAIN)
    decoder.conv_out.weight[:, :6, 1, 1] = _pairs(np.eye(3) / _gain(), 1)
