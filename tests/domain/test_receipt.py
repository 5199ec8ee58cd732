"""Receipts: what they hold, what they leave out, and the way back."""

import json
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.domain import receipt as receipts
from limner.domain.infotext.writing import parameters_text
from limner.domain.loras import Lora
from limner.domain.model import ModelInfo
from limner.domain.params import Generation, Source
from limner.domain.parts import Detail
from limner.errors import InvalidInput

MODEL = ModelInfo(
    name="RPG V4", kind="sd1", path="/models/rpg.safetensors", sha256="ab" * 32, vae="built in",
    vae_sha256=None, dtype="float32", device="cpu",
    parameters={"unet": 1, "vae": 1, "text_encoder": 1}, licence="creativeml-openrail-m",
    licence_needs_acceptance=True, attribution=("RPG V4 by Anashel",), source="", conversions=(),
)  # fmt: skip
VERSIONS = {"limner": "0.1.0", "torch": "2.13.0"}


@dataclass(frozen=True)
class Facts:
    seed: int = 7
    evaluations: int = 20
    rows: int = 40
    dtype: str = "float32"
    batch_mode: str = "shared"
    vae_tile: int | None = None
    details: tuple[Detail, ...] | None = None


def record(generation: Generation, facts: Facts = Facts(), prompts=("a knight", "")):
    return receipts.receipt(generation, facts, MODEL, VERSIONS, prompts, "cd" * 32)


generations = st.builds(
    Generation,
    prompt=st.text(max_size=40),
    negative_prompt=st.text(max_size=40),
    steps=st.integers(1, 150),
    guidance=st.floats(0, 100),
    samples=st.integers(1, 4),
    seed=st.integers(0, 2**64 - 1),
    exact=st.booleans(),
    source=st.none() | st.builds(Source, sha256=st.just("0" * 64), strength=st.floats(0, 1)),
)


def test_how_the_model_predicted_is_told_where_it_is_not_epsilon():
    plain = record(Generation(prompt="x", seed=7))
    assert "prediction" not in plain["model"]
    assert receipts.prediction_of(plain) == ("epsilon", False)
    model = replace(MODEL, prediction="v-prediction", zero_snr=True)
    told = receipts.receipt(
        Generation(prompt="x", seed=7), Facts(), model, VERSIONS, ("x", ""), "cd" * 32
    )
    assert receipts.prediction_of(told) == ("v-prediction", True)
    assert "Noise Schedule: Zero Terminal SNR" in parameters_text(told)


def test_how_prompts_were_read_is_told_where_it_is_not_as_usual():
    plain = record(Generation(prompt="x", seed=7))
    assert not {"text_encoder_sha256", "clip_positions"} & set(plain["model"])
    assert receipts.reading_of(plain) == (None, "counted")
    model = replace(MODEL, text_encoder_sha256="ab", clip_positions="stored")
    told = receipts.receipt(
        Generation(prompt="x", seed=7), Facts(), model, VERSIONS, ("x", ""), "cd" * 32
    )
    assert receipts.reading_of(told) == ("ab", "stored")


@given(generations)
def test_round_trip_through_json(generation):
    facts = Facts(seed=generation.seed)
    text = receipts.canonical(record(generation, facts))
    again = receipts.from_receipt(json.loads(text))
    assert again == generation.model_copy(update={"samples": 1})
    assert text.isascii()


def test_image_three_of_four_is_the_picture_drawn_alone():
    four = record(Generation(prompt="x", seed=7, samples=4), Facts(seed=10))
    alone = record(Generation(prompt="x", seed=10, samples=1), Facts(seed=10))
    assert four == alone
    assert receipts.receipt_id(four) == receipts.receipt_id(alone)


def test_no_paths_ids_or_times():
    names = set()

    def walk(value):
        if isinstance(value, dict):
            names.update(value)
            for inner in value.values():
                walk(inner)

    text = receipts.canonical(record(Generation(prompt="x", seed=7)))
    walk(json.loads(text))
    assert not [n for n in names if "time" in n or "created" in n or n == "id" or n.endswith("_id")]
    assert MODEL.path not in text


@pytest.mark.parametrize(
    "broken",
    [{}, {"receipt": 2}, {"receipt": 1}, {"receipt": 1, "parameters": {"prompt": 3}},
     {"receipt": 1, "parameters": {"prompt": "x", "seed": -1}},
     {"receipt": 1, "parameters": {"prompt": "x", "seed": 1, "samples": 16}}],
)  # fmt: skip
def test_what_is_no_receipt(broken):
    with pytest.raises(InvalidInput, match="receipt:"):
        receipts.from_receipt(broken)


def test_the_model_hash_is_of_the_authors_file():
    imported = replace(MODEL, source_sha256="ef" * 32)
    plain = Generation(prompt="x", seed=7)
    made = receipts.receipt(plain, Facts(), imported, VERSIONS, ("x", ""), "c" * 64)
    assert made["model"]["source_sha256"] == "ef" * 32
    assert "Model hash: efefefefef, " in parameters_text(made)
    assert "source_sha256" not in record(plain)["model"]


def test_parameters_text():
    generation = Generation(
        prompt="raw", negative_prompt="n", seed=7, scheduler="Euler a", clip_skip=2, height=768,
        subseed=9, subseed_strength=0.25, source=Source(sha256="0" * 64, strength=0.5),
    )  # fmt: skip
    made = record(generation, prompts=("a knight\nin red", "blurry"))
    assert parameters_text(made) == (
        "a knight\nin red\nNegative prompt: blurry\n"
        "Steps: 20, Sampler: Euler a, Schedule type: Uniform, CFG scale: 7.5, Seed: 7, "
        "Size: 512x768, "
        "Model hash: ababababab, Model: RPG V4, Denoising strength: 0.5, Clip skip: 2, "
        "Variation seed: 9, Variation seed strength: 0.25, RNG: NV, Version: limner 0.1.0, "
        'Hashes: {"model": "ababababab"}'
    )


def test_all_files_are_named_with_their_hashes():
    hero = Lora(name="hero", sha256="12" * 32, short_hash="0123456789ab", unet=0.8)
    villain = Lora(name="villain", sha256="34" * 32, unet=0.8, text_encoder=1)
    generation = Generation(
        prompt="x", seed=7, noise_source="torch-cpu", eta_noise_seed_delta=31337,
        guidance=7.123456789, sampler="Euler a", loras=(hero, villain),
    )  # fmt: skip
    other = replace(MODEL, vae="soft, and warm.safetensors", vae_sha256="ef" * 32)
    made = receipts.receipt(generation, Facts(), other, VERSIONS, ("x", ""), "c" * 64)
    assert made["model"]["vae"] == "soft, and warm.safetensors"
    assert parameters_text(made) == (
        "x<lora:hero:0.8><lora:villain:1:0.8>\n"
        "Steps: 20, Sampler: Euler a, Schedule type: Uniform, CFG scale: 7.123456789, Seed: 7, "
        "Size: 512x512, Model hash: ababababab, Model: RPG V4, VAE hash: efefefefef, "
        'VAE: "soft, and warm.safetensors", ENSD: 31337, RNG: CPU, '
        'Lora hashes: "hero: 0123456789ab", Version: limner 0.1.0, '
        'Hashes: {"model": "ababababab", "vae": "efefefefef", "lora:hero": "1212121212", '
        '"lora:villain": "3434343434"}'
    )
    older = {**made, "model": {n: v for n, v in made["model"].items() if n != "vae"}}
    assert "VAE hash: efefefefef, VAE: efefefefef, " in parameters_text(older)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("DPM Multi", "Sampler: DPM++ 2M, Schedule type: Uniform"),
        ("DPM2 Karras", "Sampler: DPM2, Schedule type: Karras"),
        ("PNDM", "Sampler: PLMS, Schedule type: Automatic"),
    ],
)
def test_samplers_have_the_names_that_others_know(name, said):
    made = record(Generation(prompt="x", seed=7, scheduler=name))
    assert f"Steps: 20, {said}, CFG scale" in parameters_text(made)
    assert made["parameters"]["scheduler"] == name


def test_a_sampler_by_name_is_written_as_its_program_does():
    made = record(Generation(prompt="x", seed=7, sampler="DPM++ 2M SDE Karras", eta=0.5))
    text = parameters_text(made)
    assert "Sampler: DPM++ 2M SDE, Schedule type: Karras, CFG scale: 7.5" in text
    assert "Eta: 0.5" in text
    churned = Generation(prompt="x", seed=7, sampler="Euler", s_churn=2, s_tmax=9)
    assert "Sigma churn: 2, Sigma tmax: 9, " in parameters_text(record(churned))
    assert (
        receipts.from_receipt(made).method
        == Generation(prompt="x", seed=7, sampler="DPM++ 2M SDE", schedule="Karras", eta=0.5).method
    )


def test_a_subseed_that_draws_nothing_is_not_kept():
    receipt = record(Generation(prompt="x", seed=7, subseed=5))
    assert receipt == record(Generation(prompt="x", seed=7))
    assert record(Generation(prompt="x", seed=7, subseed=5, subseed_strength=0.1)) != receipt


def test_a_name_with_a_comma_is_quoted():
    made = receipts.receipt(
        Generation(prompt="x", seed=7),
        Facts(),
        replace(MODEL, name="a, b"),
        VERSIONS,
        ("x", ""),
        "",
    )
    assert 'Model: "a, b",' in parameters_text(made)


@pytest.mark.parametrize(
    ("scheduler", "strength", "told"),
    [("LMS", 0.5, True), ("PNDM", 0.5, True), ("Euler", 0.5, False), ("LMS", None, False)],
)
def test_an_older_method_is_told_where_it_concerns_the_picture(scheduler, strength, told):
    source = None if strength is None else Source(sha256="0" * 64, strength=strength)
    made = record(Generation(prompt="a", seed=1, scheduler=scheduler, source=source))
    assert receipts.method_change(made) is None
    del made["drawing"]["method"]  # as receipts were before there was a second one
    said = receipts.method_change(made)
    assert (said is not None) == told
    assert said is None or f"method was 1, is 2: since 2, {scheduler}" in said
