"""The card that headers give is what the loaded model says of itself."""

from dataclasses import fields

import pytest

from limner.domain.model import Card
from limner.engine.checkpoints import cards, weights
from limner.engine.checkpoints.prediction import Wish
from limner.errors import CheckpointError


def _same(card: Card, info: Card) -> None:
    told = [each.name for each in fields(Card) if each.name != "conversions"]
    assert [getattr(card, name) for name in told] == [getattr(info, name) for name in told]
    assert info.conversions[: len(card.conversions)] == card.conversions


def test_the_embedded_models_card_is_what_it_says_when_loaded():
    card = cards.read(None, None)
    _same(card, weights.load(device="cpu", dtype="float32").info)
    assert (card.name, card.sprite_pixels, card.kind) == ("Squire", 16, "sd1")


def test_a_files_card_is_what_it_says_when_loaded(single_file):
    _same(cards.read(single_file, None), weights.load(single_file, device="cpu").info)


def test_a_wish_and_a_vae_are_on_the_card(single_file):
    wish = Wish(prediction="v", zero_snr="yes")
    card = cards.read(single_file, single_file, wish)
    _same(card, weights.load(single_file, vae=single_file, device="cpu", wish=wish).info)
    assert (card.prediction, card.zero_snr, card.vae) == (
        "v-prediction", True, single_file.name
    )  # fmt: skip
    assert card.vae_sha256 == card.sha256


def test_no_card_is_made_of_what_is_no_checkpoint(tmp_path):
    (tmp_path / "notes.safetensors").write_bytes(b"notes")
    with pytest.raises(CheckpointError, match=r"notes\.safetensors"):
        cards.read(tmp_path / "notes.safetensors", None)
