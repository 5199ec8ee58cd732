"""A replay is of the same checkpoint, taken to predict as it did."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from limner.engine.batching.fake import FAKE_MODEL
from limner.errors import InvalidInput
from limner.usecases.pictures.replay import check_model

V = replace(FAKE_MODEL, prediction="v-prediction")


def drawn_by(**more: Any) -> dict[str, Any]:
    model = {"name": FAKE_MODEL.name, "sha256": FAKE_MODEL.sha256, "vae_sha256": None}
    return {"model": model | more}


def test_the_same_model_may() -> None:
    check_model(drawn_by(), FAKE_MODEL)
    check_model(drawn_by(prediction="v-prediction"), V)


def test_one_that_predicts_otherwise_may_not() -> None:
    with pytest.raises(InvalidInput, match=r"to be epsilon without zero .* loaded as v-prediction"):
        check_model(drawn_by(), V)
    with pytest.raises(InvalidInput, match=r"v-prediction with zero terminal SNR; it is loaded"):
        check_model(drawn_by(prediction="v-prediction", zero_snr=True), V)
    with pytest.raises(InvalidInput, match="drawn by another"):
        check_model({"model": {"name": "another", "sha256": "0"}}, FAKE_MODEL)


def test_one_that_reads_prompts_otherwise_may_not() -> None:
    other = replace(FAKE_MODEL, text_encoder_sha256="ab" * 32)
    check_model(drawn_by(text_encoder_sha256="ab" * 32), other)
    check_model(drawn_by(clip_positions="stored"), replace(FAKE_MODEL, clip_positions="stored"))
    with pytest.raises(InvalidInput, match=r"with its own text encoder, positions counted; .* is "
                       r"loaded with text encoder abababababab, positions counted"):  # fmt: skip
        check_model(drawn_by(), other)
    with pytest.raises(
        InvalidInput, match=r"positions stored; .*change the settings text_encoder and clip_pos"
    ):
        check_model(drawn_by(clip_positions="stored"), FAKE_MODEL)
    with pytest.raises(InvalidInput, match="read with text encoder 5, positions counted"):
        check_model(drawn_by(text_encoder_sha256=5, clip_positions=[]), FAKE_MODEL)


def test_the_way_out_is_told() -> None:
    """A server draws with the file alone where it knows that, which its own model hides."""
    with pytest.raises(InvalidInput, match=r"zero terminal SNR; change the settings prediction"):
        check_model(drawn_by(), V)
    said = replace(V, said="prediction=v")
    with pytest.raises(InvalidInput, match=r"; if its file alone is read so, put that into a "
                       r"folder of models; otherwise change the settings prediction"):  # fmt: skip
        check_model(drawn_by(), said)
