"""Files that a text names: found by every hash that is written of them, then by name."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from limner.domain.infotext.named import Named
from limner.domain.model import Card
from limner.engine.batching.fake import FAKE_MODEL
from limner.errors import InvalidInput
from limner.models.listing import Library
from limner.usecases.pictures.foreign import FILES_MAX, FileFinder, Settled, settle
from tests.engine.upscaling import making
from tests.models import chosen, files

PAIRS = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = chosen.write(tmp_path_factory.mktemp("models"))
    files.lora(folder / "Owl.safetensors", sshs_model_hash="abcdef012345" + "0" * 52)
    files.lora(folder / "xl.safetensors", 2048)
    files.embedding(folder / "easy.safetensors")
    making.written(folder / "4x-UltraSharp.pth", making.compact())
    making.written(folder / "RealESRGAN_x4plus_anime_6B.pth", making.compact(scale=2))
    return folder


@pytest.fixture(scope="module")
def library(folder: Path) -> Library:
    return Library(None, [folder], fresh_s=60)


def settled(library: Library, more: str, prompt: str = "x", own: Card | None = None) -> Settled:
    text = f"{prompt}\n{PAIRS}, {more}"
    return settle(text, FileFinder(library, own or FAKE_MODEL, thorough=True))


def sum_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def old(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()[0x100000:0x110000]).hexdigest()[:8]


def test_a_checkpoint_is_found_by_its_hash_whatever_its_name(
    library: Library, folder: Path
) -> None:
    knight = folder / "knight.safetensors"
    for digits in (sum_of(knight)[:10], sum_of(knight).upper(), old(knight)):
        found = settled(library, f"Model hash: {digits}, Model: somethingElse_v3")
        assert (found.body["model"], found.missing) == ("knight", ())
        assert not any("found by its name" in sentence for sentence in found.differs)


def test_a_name_does_where_no_hash_is_known_and_another_hash_is_told(library: Library) -> None:
    for name in ("knight", "Knight.ckpt", "SD 1.5/knight.safetensors", "KNIGHT [aaaaaaaaaa]"):
        found = settled(library, f"Model: {name}")
        assert (found.body["model"], found.missing) == ("knight", ())
    found = settled(library, "Model hash: aaaaaaaaaa, Model: knight")
    assert found.body["model"] == "knight"
    [told] = [each for each in found.differs if "found by its name" in each]
    assert told.startswith("checkpoint knight (aaaaaaaaaa): found by its name; the file here has")


def test_the_servers_own_model_is_known_too(library: Library) -> None:
    found = settled(library, f"Model hash: {FAKE_MODEL.sha256[:10]}, Model: anything")
    assert ("model" in found.body, found.missing) == (False, ())
    found = settled(library, f"Model hash: aaaaaaaaaa, Model: {FAKE_MODEL.name}")
    assert ("model" in found.body, found.missing) == (False, ())
    assert any("found by its name" in each for each in found.differs)


def test_what_is_not_there_is_said_and_what_cannot_be_used_why(library: Library) -> None:
    found = settled(
        library,
        'Model hash: aaaaaaaaaa, Model: far, VAE hash: bbbbbbbbbb, VAE: gone.pt, TI hashes: "e:c"',
        "a <lora:nobody:0.5> b <lora:xl:1><hypernet:h:1>",
    )
    assert found.body["prompt"] == "a  b "
    assert not {"model", "vae", "loras"} & set(found.body)
    said = "\n".join(found.missing)
    assert f"checkpoint far (aaaaaaaaaa) is not in the library; {FAKE_MODEL.name} draws" in said
    assert "VAE gone (bbbbbbbbbb) is not in the library; the checkpoint's own takes" in said
    assert "LoRA nobody is not in the library; drawn without it" in said
    assert "LoRA xl cannot be used: It is for SDXL" in said
    assert "embedding e is not in the library" in said
    assert "hypernetwork h is not in the library" in said


def test_loras_are_found_by_both_of_their_hashes(library: Library, folder: Path) -> None:
    data = (folder / "fox.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    autov3 = hashlib.sha256(data[8 + length :]).hexdigest()[:12]
    hashes = f'Lora hashes: "old name: {autov3}, bird: abcdef012345"'
    found = settled(library, hashes, "x <lora:old name:0.8><lora:bird:0.5:-1>")
    assert not any("LoRA" in sentence for sentence in found.missing)
    assert found.body["loras"] == [
        {"name": "fox", "unet": 0.8, "text_encoder": 0.8},
        {"name": "Owl", "unet": -1.0, "text_encoder": 0.5},
    ]
    sha256 = sum_of(folder / "fox.safetensors")[:10]
    found = settled(library, f'Hashes: {{"lora:zorro": "{sha256}"}}', "<lora:zorro:1:lbw=ALL>")
    assert [lora["name"] for lora in found.body["loras"]] == ["fox"]
    assert any("'lbw=ALL' of its tag is not known here" in each for each in found.differs)


def test_a_lora_that_the_text_names_by_its_hash_alone_is_drawn_with(library: Library) -> None:
    found = settled(library, 'Lora hashes: "bird: abcdef012345"')
    assert found.body["loras"] == [{"name": "Owl", "unet": 1.0, "text_encoder": 1.0}]
    assert any("does not hold its strength; 1 was taken" in each for each in found.missing)
    weighed = 'Lora hashes: "bird: abcdef012345", Lora weights: "bird: 0.4"'
    found = settled(library, weighed)
    assert found.body["loras"] == [{"name": "Owl", "unet": 0.4, "text_encoder": 0.4}]
    assert not any("strength" in each for each in found.missing)
    of_face = 'Lora hashes: "bird: abcdef012345", ADetailer prompt: "a face, <lora:bird:1>"'
    assert "loras" not in settled(library, of_face).body


def test_a_lora_under_two_names_is_drawn_with_once(library: Library) -> None:
    """A tag may say another name than the list of hashes has."""
    found = settled(library, 'Lora hashes: "bird: abcdef012345"', "x <lora:owl:0.5>")
    assert found.body["loras"] == [{"name": "Owl", "unet": 0.5, "text_encoder": 0.5}]


def test_more_loras_and_stronger_ones_than_are_drawn_with_are_told(library: Library) -> None:
    found = settled(library, "a: b", "x <lora:owl:-12>" + "<lora:fox:1>" * 8)
    assert len(found.body["loras"]) == 8
    assert found.body["loras"][0]["unet"] == -10
    assert any("its strength goes from -10 to 10 here" in each for each in found.differs)
    assert any("at most 8 LoRAs draw here; left out" in each for each in found.differs)


@pytest.mark.parametrize(
    ("said", "drawn"),
    [
        ("4x_UltraSharp", "4x-UltraSharp"),
        ("ultra/4x-ultrasharp.pth", "4x-UltraSharp"),
        ("R-ESRGAN 4x+ Anime6B", "RealESRGAN_x4plus_anime_6B"),
        ("4x_foolhardy_Remacri", "Lanczos"),
        ("None", "Lanczos"),
        ("Scale2x", "Scale2x"),
    ],
)
def test_an_upscaler_is_found_in_the_library(library: Library, said: str, drawn: str) -> None:
    found = settled(library, f"Denoising strength: 0.4, Hires upscale: 2, Hires upscaler: {said}")
    assert found.body["hires"]["upscaler"] == drawn
    missing = [each for each in found.missing if "upscaler" in each]
    assert bool(missing) == (said == "4x_foolhardy_Remacri")


def test_embeddings_act_by_the_words_of_files_that_are_here(library: Library, folder: Path) -> None:
    digits = sum_of(folder / "easy.safetensors")[:12]
    found = settled(
        library, f'TI hashes: "easy: {digits}", Model: knight', "x, easy, embedding:Easy"
    )
    assert (found.body["prompt"], found.missing) == ("x, easy, embedding:Easy", ())
    found = settled(library, f'TI hashes: "other: {digits}", Model: knight', "x, other")
    assert found.missing == (f"embedding other ({digits}) is called easy here, which acts by that "
                             "word alone",)  # fmt: skip
    found = settled(library, "Model: knight", "x, (embedding:gone.v2:1.2), embedding:gone")
    assert found.body["prompt"] == "x, (:1.2), "
    assert [sentence[:26] for sentence in found.missing] == [
        "embedding gone.v2 is not i", "embedding gone is not in t",
    ]  # fmt: skip


def test_a_vae_is_found_by_hash_or_name(library: Library, folder: Path) -> None:
    digits = sum_of(folder / "soft.safetensors")[:10]
    for said in (f"VAE hash: {digits}, VAE: other.pt", "VAE: soft.vae.pt"):
        assert settled(library, said).body["vae"] == "soft"
    assert "vae" not in settled(library, "VAE: None").body


def test_a_server_makes_only_the_sums_of_files_of_the_name(folder: Path) -> None:
    digits = sum_of(folder / "knight.safetensors")[:10]
    fresh = Library(None, [folder], fresh_s=60)
    text = f"x\n{PAIRS}, Model hash: {digits}, Model: "
    found = settle(text + "other", FileFinder(fresh, FAKE_MODEL))
    assert "model" not in found.body
    assert "(the hashes of 2 files there are not known yet)" in found.missing[0]
    assert [entry for entry in fresh.entries() if entry.sha256] == []
    assert settle(text + "knight", FileFinder(fresh, FAKE_MODEL)).body["model"] == "knight"


def test_a_picture_to_start_from_is_missed_unless_it_is_given(library: Library) -> None:
    text = f"x\n{PAIRS}, Denoising strength: 0.4"
    found = settle(text, FileFinder(library, FAKE_MODEL))
    assert "strength" not in found.body
    assert any("Denoising strength: 0.4" in sentence for sentence in found.missing)
    given = settle(text, FileFinder(library, FAKE_MODEL), from_picture=True)
    assert given.body["strength"] == "0.4"
    assert not any("Denoising" in sentence for sentence in given.missing)


def test_a_text_without_settings_is_refused(library: Library) -> None:
    with pytest.raises(InvalidInput, match="the text holds none"):
        settle("a cat on a mat", FileFinder(library, FAKE_MODEL))


def test_a_text_that_names_thousands_of_files_costs_as_much_as_one_of_a_few(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Named] = []

    def find(_: FileFinder, named: Named) -> None:
        looked.append(named)

    monkeypatch.setattr(FileFinder, "find", find)
    tags = "".join(f"<lora:fox{n}:1>" for n in range(5_000))
    told = settled(library, "Model: knight", prompt=f"x {tags}").missing
    assert len(looked) == FILES_MAX
    assert looked[0].name == "knight"
    assert "of the 5001 files that it names were not looked for" in told[-1]
