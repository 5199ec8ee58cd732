"""Which licences ask to be accepted, whom they name, and that their texts are whole."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePath

import pytest

import limner
from limner.domain import licences

TEXTS = Path(limner.__file__).parent / "assets" / "licenses"


@pytest.mark.parametrize(
    "name", ["creativeml-openrail-m", None, "", "other", "CreativeML-OpenRAIL-M "]
)
def test_sd15s_licence_is_assumed(name: str | None) -> None:
    assert licences.find(name) is licences.RAIL_M
    assert licences.find(name).needs_acceptance


@pytest.mark.parametrize("name", ["apache-2.0", "MIT", "cc0-1.0"])
def test_a_free_licence_asks_nothing(name: str) -> None:
    assert licences.find(name).id == name.lower()
    assert not licences.find(name).needs_acceptance


def test_the_texts_are_whole() -> None:
    for licence in licences.LICENCES.values():
        assert licence.text is None or (TEXTS / licence.text).is_file()
    # The sum of the text that its authors publish with Stable Diffusion 1.x.
    text = (TEXTS / "creativeml-openrail-m.txt").read_bytes()
    assert hashlib.sha256(text).hexdigest() == (
        "be351ebe7ac01bcdbb018639aadcfd38f136b7dc3f2a3d4d3a24db51d1b210ef"
    )
    assert licences.RAIL_M.version == "2022-08-22"
    assert b"dated August 22, 2022" in text


@pytest.mark.parametrize("stem", ["RPG-v4", "rpg_v4", "RPG V4", "RPGv4-fp16"])
def test_rpg_v4_is_recognised(stem: str) -> None:
    name, attribution, source = licences.origin(
        PurePath(f"{stem}.safetensors"), licences.RAIL_M, embedded=False
    )
    assert name == "RPG V4"
    assert [who.split(" by ")[0] for who in attribution] == ["RPG V4", "Stable Diffusion 1.5"]
    assert "Anashel/rpg" in source


def test_others_keep_their_names() -> None:
    path = PurePath("dreams-v8.safetensors")
    name, attribution, source = licences.origin(path, licences.RAIL_M, embedded=False)
    assert (name, source) == ("dreams-v8", "dreams-v8.safetensors")
    assert "Robin Rombach, Patrick Esser and contributors" in attribution[0]
    own, nobody, _ = licences.origin(path, licences.APACHE_2, embedded=False)
    assert (own, nobody) == ("dreams-v8", ())
