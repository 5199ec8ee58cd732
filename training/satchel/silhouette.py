"""A ControlNet that follows a silhouette, white on black (Zhang et al. 2023).

It begins as a copy of Squire's first half. What reads the map is set by hand and not trained: a
latent pixel is sixteen screen pixels wide, and it reads the mean of these.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.paths import SQUIRE
from training.satchel.learning import Lessons, Student

RATE = 1e-3
HIGH = 8.0
"""Added to what is carried through the map's reader, where silu is nearly the identity."""
READER = (1, 1, 1, 1, 1)
"""Its channels; each but the first halves the map."""
SMALL = 10_000
"""Tensors of more numbers are stored in eight bits each."""


def build(student: Student, trained: Path | None = None) -> ControlNetModel:
    """The ControlNet before training, when it adds nothing, or as a file has it."""
    net = ControlNetModel.from_unet(student.unet, conditioning_embedding_out_channels=READER)
    net = net.float().train()
    _set_reader(net.controlnet_cond_embedding)
    # The ends are zero, so it adds nothing yet; were this zero as well, the map would be learned
    # only after them.
    torch.nn.init.normal_(net.controlnet_cond_embedding.conv_out.weight, std=0.3)
    if trained is not None:
        net.load_state_dict({name: value.float() for name, value in load_file(trained).items()})
    student.unet.requires_grad_(False)
    return net.to(memory_format=torch.channels_last)


@torch.no_grad()
def _set_reader(reader) -> None:
    """Means of squares of 2 x 2, four times; the last silu has no `HIGH` before it."""
    carried = torch.tensor([HIGH, HIGH + 1])  # black and white
    for _ in reader.blocks:
        carried = F.silu(carried)  # a little less each time, and a little further apart
    for parameter in reader.parameters():
        parameter.zero_()
    reader.conv_in.weight[0, :, 1, 1] = 1 / 3 / (carried[1] - carried[0])
    reader.conv_in.bias.fill_(HIGH)
    for number, block in enumerate(reader.blocks):
        if number % 2:
            block.weight[0, 0, 1:, 1:] = 0.25
        else:
            block.weight[0, 0, 1, 1] = 1.0
    reader.blocks[-1].bias.fill_(-carried[0])


def weights(net: ControlNetModel) -> list[Tensor]:
    """What is trained: all but the reader's hand-set layers."""
    fixed = ("controlnet_cond_embedding.conv_in", "controlnet_cond_embedding.blocks")
    return [value for name, value in net.named_parameters() if not name.startswith(fixed)]


def outline_timesteps(count: int, rng: np.random.Generator) -> Tensor:
    """Stratified timesteps (count,), most of them at high noise, where outlines are decided."""
    share = (np.arange(count) + rng.random(count)) / count
    return torch.from_numpy((999.99 * (1 - rng.permutation(share) ** 2)).astype(np.int64))


def loss(student: Student, net: ControlNetModel, lessons: Lessons) -> Tensor:
    """Squire's loss with what the net adds; the map is of the picture that is to be drawn."""
    latents, texts, masks = lessons.draw_with_figures()
    t, noise = outline_timesteps(len(latents), lessons.rng), torch.randn_like(latents)
    noisy = student.noising.noised(latents, noise, t)
    noisy = noisy.contiguous(memory_format=torch.channels_last)
    told = student.context(texts, lessons.rng)
    with torch.autocast("cpu", torch.bfloat16, enabled=student.dtype == torch.bfloat16):
        down, mid = added(net, noisy, t, told, masks)
    guess = student.unet(
        noisy.to(student.dtype),
        t,
        told.to(student.dtype),
        down_block_additional_residuals=[each.to(student.dtype) for each in down],
        mid_block_additional_residual=mid.to(student.dtype),
    ).sample
    error = (guess.float() - noise).square().mean((1, 2, 3))
    return (error * student.noising.weights(t)).mean()


def added(
    net: ControlNetModel, noisy: Tensor, t: Tensor, told: Tensor, masks: np.ndarray
) -> tuple[list[Tensor], Tensor]:
    """What the net adds, for bool (n, height, width) of where the figure shall be."""
    emb = net.time_embedding(net.time_proj(t).to(noisy.dtype))
    seen = F.silu(torch.from_numpy(masks)[:, None].float())  # as the reader makes it
    sample = net.conv_in(noisy) + net.controlnet_cond_embedding.conv_out(seen)
    found = [sample]
    for block in net.down_blocks:
        more = (
            {"encoder_hidden_states": told} if getattr(block, "has_cross_attention", False) else {}
        )
        sample, made = block(hidden_states=sample, temb=emb, **more)
        found += made
    sample = net.mid_block(sample, emb, encoder_hidden_states=told)
    ends = zip(found, net.controlnet_down_blocks, strict=True)
    return [end(each) for each, end in ends], net.controlnet_mid_block(sample)


def save(net: ControlNetModel, path: Path) -> None:
    """Write it in diffusers' names: float16, and the large tensors in float8."""
    tensors = {}
    for name, value in net.state_dict().items():
        kind = torch.float8_e4m3fn if value.numel() > SMALL else torch.float16
        tensors[name] = value.contiguous(memory_format=torch.contiguous_format).to(kind)
    save_file(tensors, path)
    path.chmod(0o644)


def load(path: Path) -> ControlNetModel:
    """The net of a file that was saved here."""
    unet = UNet2DConditionModel.from_pretrained(SQUIRE / "unet")
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=READER).float()
    net.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return net.eval().requires_grad_(False)
