"""What the list says of odd files is what loading them would, as far as headers tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.cli.models import inspect
from limner.models import facts, places, walking
from limner.models.facts import PICKLED
from tests.engine import checkpoint_files
from tests.engine.checkpoints.odd_files import LOADED
from tests.engine.checkpoints.refused_files import REFUSED
from tests.engine.checkpoints.writing import UNET, VAE, Maker, only, plain, without, written, zeros

MADE: dict[str, Maker] = LOADED | {what: make for what, (make, _) in REFUSED.items()}
NOT_BY_HEADERS = {"VAE alone", "NaN in the UNet", "NaN in the text encoder"}
# Nothing loads these as a checkpoint.
USED_BESIDE = {
    *("LoRA", "LoRA of diffusers", "embedding", "embedding of diffusers"),
    *("ControlNet", "ControlNet of diffusers"),
}
FEW = ("scaled float8", "int8", "no text encoder")


@pytest.mark.parametrize(
    "what", [w if w in FEW else pytest.param(w, marks=pytest.mark.slow) for w in MADE]
)
def test_the_list_calls_usable_what_loads(tmp_path: Path, what: str) -> None:
    MADE[what](tmp_path, checkpoint_files.original(plain()))
    found = walking.walk(places.Place("models", tmp_path), set())
    odd = [f for f in found if f.path.name.startswith("odd") and ".vae." not in f.path.name]
    (reason,) = (each.reason or facts.read(each).reason for each in odd)
    assert (reason in (None, PICKLED)) == (what in LOADED or what in NOT_BY_HEADERS | USED_BESIDE)
    assert str(tmp_path) not in (reason or "")


@pytest.mark.parametrize("what", ["UNet alone", "epsilon", "VAE beside"])
def test_the_list_tells_of_what_cannot_be_drawn_what_inspect_does(
    tmp_path: Path, what: str
) -> None:
    tensors = checkpoint_files.original(plain())
    if what == "VAE beside":
        tensors = without(tensors, VAE)
        (tmp_path / "odd.vae.safetensors").write_text("<html>", encoding="utf-8")
    elif what == "UNet alone":
        tensors = only(tensors, UNET)
    path = written(tmp_path, tensors | zeros("ztsnr"))
    (found,) = (f for f in walking.walk(places.Place("x", tmp_path), set()) if f.path == path)
    told, inspected = facts.read(found), inspect(path)
    assert told.reason is not None
    assert inspected["refusal"] is not None
    assert told.prediction == inspected["prediction"] == "epsilon"
    assert list(told.notes) == inspected["notes"]
