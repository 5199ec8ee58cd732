"""A receipt as the text that AUTOMATIC1111, Forge and Civitai read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from limner.domain import guidance_names
from limner.domain.infotext import hires
from limner.domain.masking import Masking
from limner.domain.params import Generation
from limner.domain.receipt import from_receipt, prediction_of
from limner.domain.tags import number, tagged


def parameters_text(record: Mapping[str, Any]) -> str:
    """The text block that AUTOMATIC1111 writes into pictures, made from a receipt.

    Prompt, negative prompt, then one line of ``Name: value`` pairs, under that program's names, so
    that other tools can repeat the picture.
    """
    generation = from_receipt(record)
    lines = [tagged(record["prompts"]["positive"], generation.loras)]
    if record["prompts"]["negative"]:
        lines.append(f"Negative prompt: {record['prompts']['negative']}")
    pairs = (*_how(generation, record), *_noise(generation), *_files(generation, record))
    lines.append(", ".join(f"{name}: {value}" for name, value in pairs))
    return "\n".join(lines)


def _how(generation: Generation, record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    model = record["model"]
    sampler, schedule = generation.method.names
    yield "Steps", generation.steps
    yield "Sampler", sampler
    yield "Schedule type", schedule
    yield "CFG scale", number(generation.guidance)
    yield "Seed", generation.seed
    yield "Size", f"{generation.width}x{generation.height}"
    yield "Model hash", model_hash(model)
    yield "Model", _quoted(model["name"])
    if model.get("vae_sha256"):
        yield "VAE hash", model["vae_sha256"][:10]
        yield "VAE", _quoted(model.get("vae") or model["vae_sha256"][:10])
    yield from _options(generation)
    yield from guidance_names.pairs_of(generation).items()
    if generation.source:
        yield "Denoising strength", number(generation.source.strength)
        if generation.source.noise_multiplier != 1:
            yield "Noise multiplier", number(generation.source.noise_multiplier)
        yield from _masked(generation.source)
    yield from hires.pairs_of(generation)
    if generation.sd_upscale:
        yield "SD upscale overlap", generation.sd_upscale.overlap
        yield "SD upscale upscaler", generation.sd_upscale.upscaler
    if generation.tiling != "none":
        yield from _tiling(generation)
    if generation.clip_skip > 1:
        yield "Clip skip", generation.clip_skip
    if prediction_of(record)[1]:
        yield "Noise Schedule", "Zero Terminal SNR"


def _masked(source: Masking) -> Iterator[tuple[str, Any]]:
    """What is not as usual of a mask."""
    if source.mask_sha256 is None:
        return
    across, down = source.blur
    if across == down:
        yield from [("Mask blur", across)] if across else []
    else:
        yield from (("Mask blur X", across), ("Mask blur Y", down))
    if source.only_masked:
        yield "Inpaint area", "Only masked"
        yield "Masked area padding", source.mask_padding
    if source.mask_fill != "original":
        words = {"fill": "fill", "noise": "latent noise", "nothing": "latent nothing"}
        yield "Masked content", words[source.mask_fill]


def _tiling(generation: Generation) -> Iterator[tuple[str, Any]]:
    """AUTOMATIC1111 knows both axes at once, and no time."""
    yield "Tiling", True
    if generation.tiling != "xy":
        yield "Tiling axis", generation.tiling
    if generation.tiling_start > 0:
        yield "Tiling start", number(generation.tiling_start)
    if generation.tiling_end < 1:
        yield "Tiling end", number(generation.tiling_end)


def _options(generation: Generation) -> Iterator[tuple[str, str]]:
    """What is set of a sampler's options, under AUTOMATIC1111's names."""
    eta = "Eta DDIM" if generation.sampler == "DDIM" else "Eta"
    names = {"eta": eta, "s_churn": "Sigma churn", "s_tmin": "Sigma tmin"}
    names |= {"s_tmax": "Sigma tmax", "s_noise": "Sigma noise"}
    for ours, theirs in names.items():
        if (value := getattr(generation, ours)) is not None:
            yield theirs, number(value)


def _noise(generation: Generation) -> Iterator[tuple[str, Any]]:
    """Seeds, and the generator: ``NV`` is Philox wherever it is computed."""
    if generation.subseed_strength:
        yield "Variation seed", generation.subseed
        yield "Variation seed strength", number(generation.subseed_strength)
    if generation.eta_noise_seed_delta:
        yield "ENSD", generation.eta_noise_seed_delta
    yield "RNG", "CPU" if generation.noise_source == "torch-cpu" else "NV"


def _files(generation: Generation, record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Hashes as AUTOMATIC1111 writes them, and all once more as Civitai's extension does."""
    model = record["model"]
    hashes = {"model": model_hash(model)}
    if model.get("vae_sha256"):
        hashes["vae"] = model["vae_sha256"][:10]
    hashes |= {f"lora:{lora.name}": lora.sha256[:10] for lora in generation.loras}
    words = generation.embeddings or ()
    hashes |= {f"embed:{each.name}": each.sha256[:10] for each in words}
    known = [f"{lora.name}: {lora.short_hash}" for lora in generation.loras if lora.short_hash]
    if known:
        yield "Lora hashes", json.dumps(", ".join(known), ensure_ascii=False)
    if words:
        sums = ", ".join(f"{each.name}: {each.sha256[:12]}" for each in words)
        yield "TI hashes", json.dumps(sums, ensure_ascii=False)
    yield "Version", f"limner {record['versions'].get('limner', '')}".strip()
    yield "Hashes", json.dumps(hashes, ensure_ascii=False)


def model_hash(model: Mapping[str, Any]) -> str:
    """Of a receipt's ``model``, ten digits: those of the author's file, which model sites know."""
    return str(model.get("source_sha256") or model["sha256"])[:10]


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if set(value) & set(',:\n"') else value
