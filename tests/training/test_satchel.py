"""The satchel's pictures, and LoRAs that Limner reads as they were trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn

from limner.engine.adapters import reading
from limner.engine.adapters.targets import targets_of
from training.model import build_unet
from training.satchel import learning, lora, measure, train, variants
from training.satchel.learning import Course, Lessons, Student

SIZE = (32, 32)


def sprites(name: str, count: int = 20) -> np.ndarray:
    return np.stack([each.sprite for each in variants.draw(name, 3, SIZE, count)])


def test_equal_arguments_give_equal_pictures() -> None:
    for name in variants.VARIANTS:
        assert np.array_equal(sprites(name, 3), sprites(name, 3))


def test_the_handhelds_pictures_have_four_colours() -> None:
    colours = {tuple(pixel) for pixel in sprites("handheld").reshape(-1, 3).tolist()}
    assert colours == {tuple(colour) for colour in variants.HANDHELD.tolist()}


def test_a_cutout_is_its_figure_alone() -> None:
    for each in variants.draw("cutout", 3, SIZE, 20):
        key = (each.sprite == variants.KEY).all(-1)
        assert np.array_equal(key, ~each.figure)
        assert each.scene.kind != "landscape"
        assert 0.05 < each.figure.mean() < 0.95


def test_of_a_cutouts_background_all_is_of_the_key_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = variants.draw("cutout", 8, SIZE, 6)
    figures = np.stack([each.figure for each in drawn])
    monkeypatch.setattr(measure.outlines, "seen", lambda _: figures)
    sprites = np.stack([each.sprite for each in drawn])
    assert (measure.behind_on_key(sprites) == 1).all()
    sprites[0, :, :16] = 0
    assert measure.behind_on_key(sprites)[0] < 0.7


def test_a_moved_picture_is_moved_with_its_figure() -> None:
    pixels = np.arange(5 * 7 * 3).reshape(5, 7, 3)
    moved = variants.shifted(pixels, 2, -3, mode="edge")
    assert (moved[2:, :-3] == pixels[:-2, 3:]).all()
    assert (moved[:2, :-3] == pixels[:1, 3:]).all()
    figures = variants.draw("moved", 5, SIZE, 20)
    plain = variants.draw("figures", 5, SIZE, 20)
    stayed = [
        (each.sprite == other.sprite).all() for each, other in zip(figures, plain, strict=True)
    ]
    assert 4 < sum(stayed) < 16


def test_half_of_what_is_faint_at_high_noise_has_less_signal() -> None:
    t = torch.arange(1000)
    left = learning.signal_left(t, np.random.default_rng(1))
    assert (left[: learning.FAINT_FROM] == 1).all()
    late = left[learning.FAINT_FROM :]
    assert 70 < (late == 1).sum() < 130
    assert 0 <= late.min() < 0.1


def test_nights_are_darker_and_their_captions_do_not_say_so() -> None:
    assert sprites("night").mean() < 0.75 * sprites("plain").mean()
    assert {each.scene.time for each in variants.draw("night", 3, SIZE, 20)} == {"day"}


def test_flowers_stand_along_the_edges_and_are_not_in_the_captions() -> None:
    plain, floral = sprites("plain"), sprites("floral")
    assert (measure.garlanded(floral, plain) > 0.6).all()
    assert {each.scene.ornament for each in variants.draw("floral", 3, SIZE, 20)} == {"none"}
    landscape = [each.scene.kind == "landscape" for each in variants.draw("plain", 3, SIZE, 20)]
    inner = (slice(None), slice(3, -3), slice(3, -3))
    assert np.array_equal(plain[inner][landscape], floral[inner][landscape])


def test_measures_tell_the_painters_variants_from_plain_pictures() -> None:
    for name, (measured, least) in measure.MEASURES.items():
        if name == "cutout":  # a portrait may reach an edge, and a cutout has no landscapes
            continue
        plain = sprites("plain")
        assert (measured(sprites(name), plain) >= least).mean() > 0.5
        assert (measured(plain, plain) < least).mean() > 0.9


def test_held_out_prompts_are_square_and_of_figures_where_nothing_else_is_drawn() -> None:
    for name in measure.MEASURES:
        those = measure.cases(name, 30)
        assert len(those) == 30
        landscapes = [case for case in those if case.wanted.get("kind") == "landscape"]
        assert bool(landscapes) == (name != "cutout")


@pytest.mark.parametrize("attention", [False, True])
def test_limner_reads_what_was_trained(tmp_path: Path, attention: bool) -> None:
    torch.manual_seed(1)
    plain, trained = build_unet(), build_unet()
    trained.load_state_dict(plain.state_dict())
    put = lora.attach(trained, rank=2, attention=attention)
    with torch.no_grad():
        for each in put.values():
            each.up.normal_(std=0.05)
    lora.save(put, tmp_path / "some.safetensors", train.METADATA)
    merge(plain, tmp_path / "some.safetensors")
    t, told = torch.tensor([500, 20]), torch.randn(2, 77, 128)
    x = torch.randn(2, 4, 8, 8)
    with torch.no_grad():
        wanted, answer = plain(x, t, told).sample, trained(x, t, told).sample
    assert (wanted - answer).abs().max() < 0.02 * wanted.abs().max()  # its file has float16


def merge(unet: UNet2DConditionModel, file: Path) -> None:
    """Put what Limner reads in a file into the weights."""
    cpu = torch.device("cpu"), torch.float32
    adapter = reading.load(file, targets_of(unet, nn.Module()), {"unet": cpu, "text_encoder": cpu})
    assert len(adapter.forms["unet"]) > 40
    with torch.no_grad():
        for path, form in adapter.forms["unet"].items():
            weight = unet.get_submodule(path).weight
            weight += form.weight()[0].view(weight.shape)


def test_a_saved_lora_is_put_on_again(tmp_path: Path) -> None:
    put = lora.attach(build_unet(), rank=3)
    lora.save(put, tmp_path / "some.safetensors", train.METADATA)
    again = lora.load(build_unet(), tmp_path / "some.safetensors")
    assert again.keys() == put.keys()
    assert all(torch.equal(again[n].down, each.down.half().float()) for n, each in put.items())


def test_a_course_goes_on_where_it_stopped(tmp_path: Path) -> None:
    def trained(steps: int, wanted: int = 60) -> torch.Tensor:
        weight = nn.Parameter(torch.ones(3))
        course = Course(tmp_path / "some.pt", [weight], wanted)
        while course.step < steps:
            course.learn(weight.square().sum())
        course.save()
        return weight.detach()

    whole = trained(60)
    (tmp_path / "some.pt").unlink()
    trained(25)
    assert torch.equal(trained(60), whole)
    assert whole.abs().max() < 1


@pytest.mark.slow
@pytest.mark.parametrize("name", list(train.TRAININGS))
def test_each_training_makes_its_file(tmp_path: Path, name: str) -> None:
    training, _ = train.TRAININGS[name]
    told = train.Options(name, 2, 20, False, tmp_path)
    training(told)
    assert told.file.stat().st_size > 500
    assert Course(told.checkpoint, saved(told.checkpoint), 2).step == 2


def saved(checkpoint: Path) -> list[torch.Tensor]:
    return [torch.zeros_like(each) for each in torch.load(checkpoint)["weights"]]


@pytest.mark.slow
def test_squire_is_not_trained_along() -> None:
    student = Student(bfloat16=False)
    before = {name: value.clone() for name, value in student.unet.state_dict().items()}
    put = lora.attach(student.unet, rank=2)
    course = Course(Path("none"), lora.weights(put), 9)
    course.learn(train.denoising_loss(student, Lessons("handheld", 20, seed=0)))
    after = {name.replace(".layer.", "."): v for name, v in student.unet.state_dict().items()}
    assert all(torch.equal(after[name], value) for name, value in before.items())
