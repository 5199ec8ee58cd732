"""Squire's UNet, its start, its noise schedule, and plain sampling for sample sheets."""

from __future__ import annotations

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

from training.text import WIDTH

CHANNELS = (32, 64, 128, 192)
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "prediction_type": "epsilon",
}
"""Stable Diffusion 1.5's own."""


def build_unet() -> UNet2DConditionModel:
    """A UNet of SD 1.5's kind, 8.6 million weights, started as `identity_start` says."""
    unet = UNet2DConditionModel(
        sample_size=32,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=CHANNELS,
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * 2, "DownBlock2D"),
        up_block_types=("UpBlock2D", *["CrossAttnUpBlock2D"] * 2, "UpBlock2D"),
        attention_head_dim=4,
        norm_num_groups=8,
        cross_attention_dim=WIDTH,
    )
    identity_start(unet)
    return unet


@torch.no_grad()
def identity_start(unet: UNet2DConditionModel) -> None:
    """Make a fresh UNet answer about x_t, the right epsilon at high noise.

    conv_in lays +x and -x into pairs of channels, the outermost skip carries them to the last
    block, and conv_out takes their difference: silu(x) - silu(-x) = x.
    """
    last = unet.up_blocks[-1].resnets[-1]
    width = unet.config.block_out_channels[0]
    last.conv2.weight.zero_()
    last.conv2.bias.zero_()
    last.conv_shortcut.weight.zero_()
    last.conv_shortcut.bias.zero_()
    last.conv_shortcut.weight[:, -width:, 0, 0] = torch.eye(width)
    unet.conv_out.weight.zero_()
    unet.conv_out.bias.zero_()
    unet.conv_in.weight[: 2 * 4].zero_()
    unet.conv_in.bias[: 2 * 4].zero_()
    for k in range(4):
        for sign, channel in ((1.0, 2 * k), (-1.0, 2 * k + 1)):
            unet.conv_in.weight[channel, k, 1, 1] = sign
            unet.conv_out.weight[k, channel, 1, 1] = sign


def for_training(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """The layout and the attention that train fastest on a CPU at these sizes."""
    unet.set_attn_processor(AttnProcessor())
    return unet.to(memory_format=torch.channels_last).train()


def alphas_cumprod() -> torch.Tensor:
    """The share of signal variance left at each of the 1000 timesteps."""
    return DDIMScheduler(**SCHEDULER).alphas_cumprod


@torch.no_grad()
def sample(
    unet: UNet2DConditionModel,
    context: torch.Tensor,
    empty: torch.Tensor,
    size: tuple[int, int],
    seeds: list[int],
    steps: int = 20,
    guidance: float = 5.0,
) -> torch.Tensor:
    """Latents (n, 4, height, width) by DDIM with guidance.

    `context` is (n, tokens, width), `empty` (1, tokens, width), `size` in latent pixels.
    """
    scheduler = DDIMScheduler(**SCHEDULER)
    scheduler.set_timesteps(steps)
    noise = [torch.randn(4, *size, generator=torch.Generator().manual_seed(s)) for s in seeds]
    x = torch.stack(noise)
    both = torch.cat([empty.expand(len(context), -1, -1), context])
    for t in scheduler.timesteps:
        blank, told = unet(torch.cat([x, x]), t, both).sample.float().chunk(2)
        x = scheduler.step(blank + guidance * (told - blank), t, x).prev_sample
    return x
