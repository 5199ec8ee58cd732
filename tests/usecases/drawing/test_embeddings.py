"""The embeddings that prompts name, found in a library by their tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from limner.domain.embeddings import Embedding
from limner.domain.loras import Lora
from limner.domain.params import Generation
from limner.engine.checkpoints import digests
from limner.errors import InvalidInput
from limner.models.listing import Library
from limner.usecases.drawing.adapters import AdapterFiles
from limner.usecases.drawing.embeddings import Words
from tests.usecases.drawing.test_adapters import KEY


def written(path: Path, vectors: int = 2, width: int = 768, number: float = 1.0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = torch.full((vectors, width), number)
    if path.suffix == ".pt":
        torch.save({"string_to_param": {"*": content}}, path)
    else:
        save_file({"emb_params": content}, path)
    return digests.compute(path)


def asked(prompt: str, negative: str = "", **more: object) -> Generation:
    return Generation(prompt=prompt, negative_prompt=negative, seed=1, embeddings=None, **more)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "models"


@pytest.fixture
def library(tmp_path: Path, folder: Path) -> Library:
    return Library(tmp_path / "data", [folder])


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("easynegative", ["EasyNegative"]),
        ("a knight, (EASYNEGATIVE:1.3), sky", ["EasyNegative"]),
        ("embedding:easynegative", ["EasyNegative"]),
        ("[knight:easynegative:0.5]", ["EasyNegative"]),
        ("a AND easynegative", ["EasyNegative"]),
        ("bad  hands", ["bad hands"]),
        ("embedding:sub/v1.3 and v1.3", ["sub/v1.3", "v1.3"]),
        ("embedding:sub/v1.3.pt", ["sub/v1.3.pt"]),
        ("bad hands easynegative bad hands", ["bad hands", "EasyNegative"]),
        ("easynegatives, bad", []),
        ("easy negative", []),
        ("", []),
    ],
)
def test_names_are_found_as_they_are_written(
    library: Library, folder: Path, prompt: str, named: list[str]
) -> None:
    sums = {
        "EasyNegative": written(folder / "EasyNegative.safetensors", 8),
        "bad hands": written(folder / "bad hands.safetensors", number=2.0),
        "v1.3": written(folder / "sub" / "v1.3.pt"),
    }
    for name in ("sub/v1.3", "sub/v1.3.pt"):
        sums[name] = sums["v1.3"]
    for line in (asked(prompt), asked("a", prompt)):
        if "AND" in prompt and line.negative_prompt:
            continue
        found = Words(library).bind(line).embeddings
        assert found is not None
        assert [each.name for each in found] == named
        assert all(each.sha256 == sums[each.name] for each in found)
        assert all(each.vectors == (8 if each.name == "EasyNegative" else 2) for each in found)


def test_what_was_looked_for_is_not_looked_for_again(library: Library, folder: Path) -> None:
    written(folder / "night.safetensors")
    old = Generation(prompt="night", seed=1)
    assert Words(library).bind(old) is old
    assert Words(None).bind(asked("night")).embeddings == ()
    [line] = AdapterFiles(library).bind([asked("night")])
    assert line.embeddings
    assert AdapterFiles(library).bind([line]) == (line,)


def test_what_cannot_be_used_is_a_word_unless_it_is_asked_for(
    library: Library, folder: Path
) -> None:
    written(folder / "large.safetensors", width=1024)
    assert Words(library).bind(asked("large")).embeddings == ()
    with pytest.raises(
        InvalidInput, match=r"embedding large cannot be used: .* Diffusion 2"
    ) as told:
        Words(library).bind(asked("a", "embedding:large"))
    assert told.value.field == "prompt"


def test_a_name_of_several_is_told_unless_they_are_equal_or_one_is_no_pickle(
    library: Library, folder: Path
) -> None:
    plain = written(folder / "a" / "night.safetensors")
    written(folder / "b" / "night.pt")
    [found] = Words(library).bind(asked("night")).embeddings or ()
    assert found.sha256 == plain
    written(folder / "c" / "night.safetensors")
    assert Words(library).bind(asked("night")).embeddings == (found,)
    written(folder / "d" / "night.safetensors", number=3.0)
    with pytest.raises(InvalidInput) as told:
        Words(library).bind(asked("night"))
    assert "'night', which may be models:a/night.safetensors and models:c" in str(told.value)
    assert Words(library).bind(asked("embedding:a/night")).embeddings


def test_a_new_file_is_found(library: Library, folder: Path) -> None:
    words = Words(library)
    written(folder / "night.safetensors")
    assert words.bind(asked("embedding:sky")).embeddings == ()
    written(folder / "sky.safetensors")
    assert words.bind(asked("embedding:sky")).embeddings


def test_those_that_a_lora_brings_come_first_and_with_it_alone(
    library: Library, folder: Path
) -> None:
    own = written(folder / "night.safetensors")
    path = folder / "hero.safetensors"
    save_file(
        {KEY: torch.ones(4, 768), "bundle_emb.night.string_to_param.*": torch.ones(3, 768)}, path
    )
    files, sha256 = AdapterFiles(library), digests.compute(path)
    [line] = files.bind([asked("night", loras=(Lora(name="hero"),))])
    assert line.embeddings == (Embedding(name="night", sha256=sha256, vectors=3),)
    [line] = files.bind([asked("night")])
    assert line.embeddings == (Embedding(name="night", sha256=own, vectors=2),)
    save_file(
        {KEY: torch.ones(4, 768), "bundle_emb.night.string_to_param.*": torch.ones(99, 768)}, path
    )
    with pytest.raises(InvalidInput, match=r"loras: hero\.safetensors has 99 vectors"):
        AdapterFiles(library).bind([asked("night", loras=(Lora(name="hero"),))])


def test_too_many_are_told(library: Library, folder: Path) -> None:
    names = [f"w{chr(97 + n // 26)}{chr(97 + n % 26)}x" for n in range(33)]
    for number, name in enumerate(names):
        written(folder / f"{name}.safetensors", 1, number=float(number))
    with pytest.raises(InvalidInput, match="prompt names 33 embeddings; at most 32 are used"):
        Words(library).bind(asked(" ".join(names)))


def test_what_a_receipt_names_is_sought(library: Library, folder: Path) -> None:
    sha256 = written(folder / "renamed.safetensors")
    there = Embedding(name="night", sha256=sha256, vectors=2)
    files = AdapterFiles(library)
    line = Generation(prompt="night", seed=1, embeddings=(there,))
    assert AdapterFiles(library).find(sha256) is None
    files.seek(line)
    assert files.find_any(sha256) == folder / "renamed.safetensors"
    (folder / "renamed.safetensors").unlink()
    with pytest.raises(InvalidInput, match=r"prompt: no file is night \(SHA-256"):
        AdapterFiles(Library(folder.parent / "data2", [folder])).seek(line)
