"""Paths to learn few steps from, and what measures the silhouettes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from diffusers import LCMScheduler
from torch import Tensor

from training.batches import Noising
from training.model import SCHEDULER, build_unet
from training.satchel import consistency, following, outlines, silhouette, variants
from training.satchel.learning import Student


class Knowing:
    """A student that always sees one picture, whatever it is told."""

    def __init__(self, picture: Tensor) -> None:
        self.picture, self.noising = picture, Noising()

    def context(self, texts: list[str], _rng: object) -> Tensor:
        return torch.zeros(len(texts), 77, 128)

    def epsilon(self, noisy: Tensor, t: Tensor, _told: Tensor) -> Tensor:
        alpha = self.noising.alphas[t].view(-1, 1, 1, 1)
        return (noisy - alpha.sqrt() * self.picture) / (1 - alpha).sqrt()


def student() -> Student:
    knowing: object = Knowing(torch.full((1, 4, 1, 1), 0.5))
    assert isinstance(knowing, Knowing)
    return knowing  # type: ignore[return-value]


def test_the_sampler_stops_where_few_steps_are_learned() -> None:
    for steps, learned in ((4, consistency.FOUR), (8, consistency.EIGHT)):
        scheduler = LCMScheduler(**SCHEDULER, original_inference_steps=50)
        scheduler.set_timesteps(steps)
        assert tuple(scheduler.timesteps.tolist()) == learned
        assert set(learned) <= set(consistency.PATH)


def test_a_path_leads_to_what_is_seen_in_it() -> None:
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    paths = consistency.path(student(), x, torch.zeros(2, 77, 128))
    assert torch.allclose(paths.ends, torch.full_like(x, 0.5), atol=1e-4)
    assert torch.equal(paths.points[0], x)
    alphas = Noising().alphas
    first = (x - alphas[999].sqrt() * 0.5) / (1 - alphas[999]).sqrt()
    for time, point in zip(consistency.PATH, paths.points, strict=True):
        wanted = alphas[time].sqrt() * 0.5 + (1 - alphas[time]).sqrt() * first
        assert torch.allclose(point, wanted, atol=1e-4)


def test_what_is_learned_is_a_point_of_a_path_and_its_end() -> None:
    courses = consistency.Courses(student(), {}, most=16, seed=1)
    times = []
    for _ in range(20):
        noisy, t, ends, told = courses.draw()
        assert (len(noisy), len(told)) == (8, 8)
        assert (ends - 0.5).abs().max() < 1e-3
        times += t.tolist()
    assert set(times) == {*consistency.FOUR, *consistency.EIGHT}
    assert np.mean([time in consistency.FOUR for time in times]) > 0.6
    assert len(courses.drawn) == 1  # as many as were asked for
    assert consistency.loss(student(), courses) < 1e-3  # who knows the ends is right


def test_overlap_is_the_share_of_the_union() -> None:
    one, other = np.zeros((2, 1, 4, 4), bool)
    one[0, 0], other[0, 0, :2], other[0, 1, :2] = True, True, True
    assert outlines.overlap(one, other).tolist() == [2 / 6]
    assert outlines.overlap(one, one).tolist() == [1.0]
    assert outlines.overlap(one, one & False).tolist() == [0.0]


def test_prompts_name_what_their_silhouettes_are_of() -> None:
    rng = np.random.default_rng(1)
    for each in variants.draw("figures", following.SEED, outlines.SIZE, 30):
        assert each.scene.subject in following.prompt(each.scene, rng)


def test_a_net_before_training_leaves_the_unet_as_it_is() -> None:
    unet, holder = build_unet(), SimpleNamespace()
    holder.unet = unet
    net = silhouette.build(holder)  # type: ignore[arg-type]
    masks = np.ones((2, 8, 8), bool)
    x, told = torch.randn(4, 4, 8, 8), torch.randn(4, 77, 128)
    with torch.no_grad():
        followed = following.Followed(unet, net, masks)(x, torch.tensor(500), told).sample
        assert torch.allclose(followed, unet(x, torch.tensor(500), told).sample, atol=1e-6)


def test_outlines_are_decided_at_high_noise() -> None:
    t = silhouette.outline_timesteps(4000, np.random.default_rng(1))
    assert t.min() >= 0
    assert t.max() < 1000
    assert (t > 750).float().mean() > 0.45
