"""The built-in style catalogue and a user's own folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.domain.prompt import parse
from limner.domain.styles import KINDS
from limner.errors import SettingsError
from limner.usecases.prompting.catalogue import FILES, listed, load
from limner.usecases.prompting.explain import explain

SIZES = {
    "concept": 12,
    "image_type": 6,
    "direction": 12,
    "mood": 20,
    "colors": 24,
    "artists": 20,
    "movements": 12,
    "preset": 12,
}


def test_the_built_in_catalogue_has_its_sizes_and_nothing_twice() -> None:
    catalogue = load()
    assert {kind: len(styles) for kind, styles in catalogue.items()} == SIZES
    for styles in catalogue.values():
        assert len({style.text for style in styles.values()}) == len(styles)


def test_every_phrase_is_plain_text_of_a_handful_of_tokens() -> None:
    for styles in load().values():
        for style in styles.values():
            for text in (style.text, style.suffix, style.negative):
                prompt = parse(text, 20)
                assert prompt.entries[0].branches[0].text == text
                assert [span.weight for span in prompt.entries[0].branches[0].spans] == [1.0]
                assert not prompt.adjustments
                assert len(explain(text, 20)["chunks"][0]) <= 24


def test_types_and_presets_carry_a_negative() -> None:
    catalogue = load()
    assert all(style.suffix and style.negative for style in catalogue["image_type"].values())
    assert all(style.negative for style in catalogue["preset"].values())


def test_listed_is_the_whole_catalogue() -> None:
    catalogue = load()
    shown = listed(catalogue)
    assert list(shown) == list(KINDS) == list(FILES)
    assert [entry["name"] for entry in shown["mood"]] == list(catalogue["mood"])
    assert shown["artists"][0] == {
        "name": "Albrecht Dürer",
        "text": "Albrecht Dürer",
        "suffix": "",
        "negative": "",
    }


def test_a_users_folder_adds_and_replaces(tmp_path: Path) -> None:
    (tmp_path / "moods.toml").write_text(
        '[foggy]\ntext = "my fog"\n["under water"]\nnegative = "air"\n', "utf-8"
    )
    catalogue = load(tmp_path)
    assert catalogue["mood"]["foggy"].text == "my fog"
    assert catalogue["mood"]["under water"].text == "under water"
    assert catalogue["mood"]["under water"].negative == "air"
    assert len(catalogue["mood"]) == SIZES["mood"] + 1
    assert len(load(tmp_path / "nowhere")["mood"]) == SIZES["mood"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("mods.toml", "", "mods.toml is no file of a style catalogue; .* moods.toml"),
        ("moods.toml", "[a", "cannot be read as TOML"),
        ("moods.toml", "a = 1", "'a' must be a table"),
        ("moods.toml", '[a]\nweight = "1"', "'a' must be a table with text, suffix, negative"),
        ("moods.toml", "[a]\ntext = 1", "text of 'a' must be a text of at most 1000"),
        ("moods.toml", f'[a]\ntext = "{"x" * 1001}"', "at most 1000"),
        ("moods.toml", "[Random]", "cannot be named 'Random'"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(SettingsError, match=words):
        load(tmp_path)
