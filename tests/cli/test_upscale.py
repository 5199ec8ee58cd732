"""``limner upscale``: larger pictures beside the small ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from limner import imaging
from limner.cli.main import typer_app
from limner.errors import InvalidInput, SettingsError

PIXELS = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)


def upscale(*options: str) -> str:
    result = CliRunner().invoke(typer_app, ["upscale", *options])
    if result.exception:
        raise result.exception
    return result.output


def test_pictures_are_made_larger_beside_the_small_ones(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(imaging.to_png(PIXELS))
    own = ("--data-dir", str(tmp_path / "data"))
    told = upscale(str(tmp_path / "a.png"), "--upscaler", "nearest", "--scale", "3", "--json", *own)
    said = json.loads(told)
    assert (said["upscale"]["width"], said["upscale"]["height"]) == (90, 60)
    made = imaging.read_image((tmp_path / "a-larger.png").read_bytes())
    assert np.array_equal(made, PIXELS.repeat(3, 0).repeat(3, 1))
    upscale(str(tmp_path / "a.png"), *own)
    assert (tmp_path / "a-larger-2.png").exists()


def test_mistakes_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(imaging.to_png(PIXELS))
    picture, own = str(tmp_path / "a.png"), ("--data-dir", str(tmp_path / "data"))
    for options, sentence, kind in (
        ((picture, "--scale", "20"), "scale is 20", InvalidInput),
        ((picture, "-o", "b.jpg"), "larger pictures are written as PNG", SettingsError),
        ((picture, picture, "-o", "b.png"), "2 are made larger", SettingsError),
        ((picture, "--upscaler", "nobody"), "nobody", InvalidInput),
        ((str(tmp_path / "b.png"),), "cannot be read", InvalidInput),
    ):
        with pytest.raises(kind, match=sentence):
            upscale(*options, *own)
