"""What adds nothing is left out, and nothing else."""

from __future__ import annotations

import copy

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from limner.engine.checkpoints.pruning import Shortcut, prune, restore
from limner.engine.checkpoints.pruning import idle as idle_blocks
from limner.engine.checkpoints.weights import Checkpoint


def make_vae() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
    ).eval()


@torch.inference_mode()
def test_idle_blocks_go_and_the_output_stays_to_the_bit() -> None:
    vae = make_vae()
    with_shortcut = vae.encoder.down_blocks[1].resnets[0]
    assert with_shortcut.conv_shortcut is not None
    idle = [with_shortcut.conv2, vae.decoder.mid_block.attentions[0].to_out[0]]
    for layer in idle:
        for parameter in layer.parameters():
            parameter.zero_()
    pruned = copy.deepcopy(vae)
    assert prune(pruned) == 2
    assert isinstance(pruned.encoder.down_blocks[1].resnets[0], Shortcut)
    picture, latent = torch.rand(1, 3, 16, 16), torch.randn(1, 4, 8, 8)
    assert torch.equal(
        vae.encode(picture).latent_dist.mean, pruned.encode(picture).latent_dist.mean
    )
    assert torch.equal(vae.decode(latent).sample, pruned.decode(latent).sample)
    assert len(idle_blocks(pruned)) == 2
    assert restore(pruned).state_dict().keys() == vae.state_dict().keys()


def test_a_bias_is_something() -> None:
    vae = make_vae()
    block = vae.decoder.mid_block.resnets[0]
    with torch.no_grad():
        block.conv2.weight.zero_()
        block.conv2.bias.fill_(1)
    assert prune(vae) == 0


def test_a_trained_unet_is_left_alone(squire: Checkpoint) -> None:
    assert prune(copy.deepcopy(squire.unet)) == 0
