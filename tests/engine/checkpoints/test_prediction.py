"""What files say of how they predict, and what is made of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from safetensors.torch import load_file, save_file

from limner.cli import models
from limner.domain.schedulers import BETAS
from limner.engine.checkpoints import cards, weights
from limner.engine.checkpoints.importing import import_checkpoint
from limner.engine.checkpoints.inspection import read_header
from limner.engine.checkpoints.layouts import chosen
from limner.engine.checkpoints.prediction import AS_TOLD, Wish
from limner.errors import CheckpointError
from tests.engine import checkpoint_files

Tensors = dict[str, torch.Tensor]
PLAIN = DDIMScheduler(**BETAS).alphas_cumprod
ZERO = DDIMScheduler(**BETAS, rescale_betas_zero_snr=True).alphas_cumprod


def write(
    folder: Path,
    tensors: Tensors,
    *,
    yaml: str | None = None,
    metadata: dict[str, str] | None = None,
    **more: torch.Tensor,
) -> Path:
    path = folder / "fox.safetensors"
    save_file(tensors | more, path, metadata={"format": "pt", **(metadata or {})})
    if yaml is not None:
        (folder / "fox.yaml").write_text(yaml)
    return path


YAML = 'model:\n  params:\n    parameterization: "{}"\n    timesteps: 1000\n'
KEY = "modelspec.prediction_type"
MARK, OTHER = torch.zeros(1), torch.zeros(1)
SAYING: dict[str, tuple[dict[str, Any], str, bool, str]] = {
    "nothing": ({}, "epsilon", False, ""),
    "yaml": ({"yaml": YAML.format("v")}, "v-prediction", False, "v-prediction by fox.yaml"),
    "bare yaml": ({"yaml": "parameterization: v"}, "v-prediction", False, "by fox.yaml"),
    "a plain yaml": ({"yaml": "model:\n  params: {}\n"}, "epsilon", False, ""),
    "metadata": ({"metadata": {KEY: "v"}}, "v-prediction", False, "by its metadata"),
    "long metadata": ({"metadata": {KEY: "v_prediction"}}, "v-prediction", False, "metadata"),
    "epsilon": ({"metadata": {KEY: "epsilon"}}, "epsilon", False, "epsilon by its metadata"),
    "a mark": ({"v_pred": MARK}, "v-prediction", False, "the tensor 'v_pred'"),
    "two marks": ({"v_pred": MARK, "ztsnr": OTHER}, "v-prediction", True, "the tensor 'ztsnr'"),
    "yaml over metadata": (
        {"yaml": YAML.format("eps"), "metadata": {KEY: "v"}},
        "epsilon",
        False,
        "epsilon by fox.yaml; v-prediction by its metadata",
    ),
    "other spellings": (
        {"yaml": YAML.format("V_Prediction"), "metadata": {KEY: "eps"}},
        "v-prediction",
        False,
        "v-prediction by fox.yaml; epsilon by its metadata",
    ),
    "diffusers' word": ({"metadata": {KEY: "v-prediction"}}, "v-prediction", False, "metadata"),
    "an end at 0": (
        {"v_pred": MARK, "alphas_cumprod": ZERO},
        "v-prediction",
        True,
        "zero terminal SNR by alphas_cumprod",
    ),
    "a rounded end at 0": (
        {"v_pred": MARK, "alphas_cumprod": ZERO.half()},
        "v-prediction",
        True,
        "zero terminal SNR by alphas_cumprod",
    ),
    "the plain schedule": ({"alphas_cumprod": PLAIN}, "epsilon", False, ""),
    "the plain schedule, rounded": ({"alphas_cumprod": PLAIN.half()}, "epsilon", False, ""),
    "a schedule rounded more": (
        {"alphas_cumprod": PLAIN.bfloat16()},
        "epsilon",
        False,
        "alphas_cumprod differs from the plain schedule by 0.002 and is not used",
    ),
    "another schedule": (
        {"alphas_cumprod": PLAIN * 0.9},
        "epsilon",
        False,
        "alphas_cumprod differs from the plain schedule by 0.100 and is not used",
    ),
    "no schedule": (
        {"alphas_cumprod": torch.full((1000,), float("nan"))},
        "epsilon",
        False,
        "differs from the plain schedule by nan",
    ),
    "a short one": ({"alphas_cumprod": PLAIN[:7]}, "epsilon", False, "shape (7,) is not used"),
}


@pytest.mark.parametrize("what", SAYING)
def test_a_single_file_says_how_it_predicts(what: str, tensors: Tensors, tmp_path: Path) -> None:
    said, prediction, zero_snr, told = SAYING[what]
    layout, _ = chosen(write(tmp_path, tensors, **said), None)
    schedule = layout.schedule()
    assert schedule.get("prediction_type", "epsilon").replace("_", "-") == prediction
    assert schedule.get("rescale_betas_zero_snr", False) is zero_snr
    assert schedule.get("timestep_spacing") == ("trailing" if zero_snr else None)
    if (prediction, zero_snr) == ("epsilon", False):
        assert schedule == BETAS
    if told:
        assert told in "; ".join(layout.told)
    else:
        assert layout.told == ()


@pytest.mark.parametrize(
    ("wish", "prediction", "zero_snr"),
    [
        (Wish("v"), "v_prediction", True),
        (Wish("epsilon", "no"), None, None),
        (Wish("v", "no"), "v_prediction", None),
        (Wish("auto", "no"), "v_prediction", None),
    ],
)
def test_a_wish_goes_over_what_the_file_says(
    wish: Wish, prediction: str | None, zero_snr: bool | None, tensors: Tensors, tmp_path: Path
) -> None:
    layout, _ = chosen(write(tmp_path, tensors, v_pred=MARK, ztsnr=OTHER), None, wish)
    schedule = layout.schedule()
    assert schedule.get("prediction_type") == prediction
    assert schedule.get("rescale_betas_zero_snr") == zero_snr


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish(), ""),
        (Wish("v", "yes"), ""),
        (Wish("epsilon", "no"), "prediction=epsilon zero_snr=False"),
        (Wish("v", "no"), "zero_snr=False"),
    ],
)
def test_a_card_tells_what_was_said_and_the_file_does_not(
    wish: Wish, said: str, tensors: Tensors, tmp_path: Path
) -> None:
    card = cards.read(write(tmp_path, tensors, v_pred=MARK, ztsnr=OTHER), None, wish)
    assert card.said == said
    assert (card.stored_sha256 == card.sha256) is (not said)


def test_epsilon_cannot_begin_in_pure_noise(tensors: Tensors, tmp_path: Path) -> None:
    path = write(tmp_path, tensors, ztsnr=MARK)
    with pytest.raises(CheckpointError, match=r"fox\.safetensors has zero terminal SNR and predic"):
        chosen(path, None)
    assert chosen(path, None, Wish("auto", "no"))[0].schedule() == BETAS


def test_what_predicts_neither_is_refused(tensors: Tensors, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="predicts 'sample'; Limner draws with"):
        chosen(write(tmp_path, tensors, yaml=YAML.format("x0")), None)


def test_the_loaded_model_tells(tensors: Tensors, tmp_path: Path) -> None:
    path = write(tmp_path, tensors, yaml=YAML.format("v"), alphas_cumprod=ZERO)
    made = weights.load(path, device="cpu", dtype="float32")
    assert (made.info.prediction, made.info.zero_snr) == ("v-prediction", True)
    assert made.scheduler_betas == {
        **BETAS,
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
    }


@pytest.mark.slow
@pytest.mark.parametrize("form", ["safetensors", "ckpt"])
@pytest.mark.parametrize("by_wish", [True, False])
def test_an_imported_file_says_it_itself(
    form: str, by_wish: bool, tensors: Tensors, tmp_path: Path
) -> None:
    more = tensors | {"alphas_cumprod": ZERO}
    source = tmp_path / f"fox.{form}"
    if form == "ckpt":
        torch.save({"state_dict": more}, source)
    else:
        save_file(more, source)
    if not by_wish:
        (tmp_path / "fox.yaml").write_text(YAML.format("v"))
    wish = Wish("v", "auto") if by_wish else Wish()
    made = import_checkpoint(source, tmp_path / "models", wish=wish)
    assert read_header(made.path).metadata[KEY] == "v"
    assert "alphas_cumprod" not in load_file(made.path)
    schedule = chosen(made.path, None)[0].schedule()
    assert schedule["prediction_type"] == "v_prediction"
    assert schedule["rescale_betas_zero_snr"] is True


def folder(tmp_path: Path, **scheduler: Any) -> Path:
    path = checkpoint_files.write_folder(tmp_path / "folder", checkpoint_files.models())
    file = path / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | scheduler))
    return path


TRAINED = np.linspace(1e-4, 0.02, 1000).tolist()
FOLDERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "v": ({"prediction_type": "v_prediction"}, {"prediction_type": "v_prediction"}),
    "zero SNR": (
        {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True},
        {
            "prediction_type": "v_prediction",
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
        },
    ),
    "betas": ({"trained_betas": TRAINED}, {"trained_betas": TRAINED}),
    "betas to pure noise": (
        {"prediction_type": "v_prediction", "trained_betas": [*TRAINED[:-1], 1.0]},
        {
            "prediction_type": "v_prediction",
            "trained_betas": [*TRAINED[:-1], 1.0],
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
        },
    ),
}


def test_a_folder_says_it_in_its_schedulers_config(tmp_path: Path) -> None:
    path = folder(tmp_path)
    file = path / "scheduler" / "scheduler_config.json"
    plain = json.loads(file.read_text())
    for config, expected in FOLDERS.values():
        file.write_text(json.dumps(plain | config))
        assert chosen(path, None)[0].schedule() == {**BETAS, **expected}
        zero_snr = "rescale_betas_zero_snr" in expected
        assert models._whole_facts(path, AS_TOLD, None)["zero_snr"] is zero_snr
    bad: list[Any] = [[0.1], [0.0] * 1000, [2.0] * 1000, ["x"] * 1000, "linear"]
    for betas in bad:
        file.write_text(json.dumps(plain | {"trained_betas": betas}))
        with pytest.raises(CheckpointError, match=r"trained_betas .* must be 1000 numbers over 0"):
            chosen(path, None)


def _junk(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\0parameterization: v\n" * 9)


def _dark(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [_junk, _dark])
def test_no_yaml_ends_the_program(
    make: Callable[[Path], None], tensors: Tensors, tmp_path: Path
) -> None:
    path = write(tmp_path, tensors)
    make(tmp_path / "fox.yaml")
    assert chosen(path, None)[0].schedule() == BETAS
