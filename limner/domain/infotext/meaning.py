"""What a text's settings mean here: fields of a request, and what cannot be the same."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from limner.domain import automatic1111, guidance_names, sampler_names
from limner.domain.infotext import files, hires, undone
from limner.domain.infotext.files import Named
from limner.domain.infotext.reading import Infotext
from limner.domain.params import SIDE_MULTIPLE
from limner.domain.samplers import RULED_NAMES, SAMPLERS
from limner.errors import InvalidInput

SAMPLER = "Euler a"  # what these programs draw with where nothing else is said
PRECISION = (
    "numbers: such programs compute in half precision on a graphics card, as a rule, and this "
    "server in its own way; pixels differ a little"
)
BROWNIAN = "the noise between steps is drawn anew for each interval, there along a Brownian path"
_NO_SAMPLER = ("", "undefined", "default", "none", "unknown")
_SIZE = re.compile(r"(\d{1,5}) ?[xX×*] ?(\d{1,5})")
_NEGATIVE_NUMBER = re.compile(r"-(\d+)")


@dataclass
class Draft:
    """What becomes of a text: ``body``, in the names of Limner's own calls, and what is told.

    ``missing`` are things that the text speaks of and nobody has here; ``differs`` are sentences
    on what is done otherwise.
    """

    pairs: Mapping[str, str]
    body: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    files: tuple[Named, ...] = ()


def mean(text: Infotext) -> Draft:
    """The request that draws what ``text`` describes; its files are named and not yet looked for.

    Raises ``InvalidInput`` for a text without settings.
    """
    if not text.pairs:
        raise InvalidInput(
            "settings",
            "settings: the text holds none; they are a line such as "
            '"Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512"',
        )
    draft = Draft(text.pairs, differs=[PRECISION])
    prompt, draft.files = files.of(text)
    draft.body |= {"prompt": prompt, "negative_prompt": text.negative_prompt}
    for read in READERS:
        read(draft)
    known = KNOWN | guidance_names.NAMES
    rest = {name: value for name, value in text.pairs.items() if name not in known}
    if "hires" in draft.body:
        rest = {name: value for name, value in rest.items() if name not in hires.NAMES}
    elif "strength" in draft.body:
        del rest[hires.STRENGTH]
    draft.differs += undone.told(rest)
    return draft


# Pairs whose value is that of a field as it stands.
FIELDS: Mapping[str, str] = {
    "Steps": "num_inference_steps",
    "CFG scale": "guidance_scale",
    "Seed": "seed",
    "Clip skip": "clip_skip",
}
# The names that the readers below take.
KNOWN = frozenset({
    *FIELDS, "Sampler", "Schedule type", "Size", "Model", "Model hash", "VAE", "VAE hash", "RNG",
    "Lora hashes", "TI hashes", "ENSD", "Eta", "Sigma churn", "Sigma tmin", "Sigma tmax",
    "Sigma noise", "Variation seed", "Variation seed strength", "Tiling", "Tiling axis",
    "Tiling start", "Tiling end",
})  # fmt: skip


def _plain(draft: Draft) -> None:
    for name, field_name in FIELDS.items():
        if name in draft.pairs:
            draft.body[field_name] = draft.pairs[name]
    skip = _NEGATIVE_NUMBER.fullmatch(draft.body.get("clip_skip", ""))
    if skip:  # ComfyUI counts from the end
        draft.body["clip_skip"] = skip[1]
    if draft.body.get("clip_skip") in ("0", "0.0"):
        del draft.body["clip_skip"]
    for name in ("Steps", "CFG scale", "Seed"):
        if name not in draft.pairs:
            draft.missing.append(f"{name}: the text does not hold it; the usual was taken")


def _size(draft: Draft) -> None:
    """The picture's own, or that of the first pass where AUTOMATIC1111 wrote both, once."""
    sides = _SIZE.fullmatch(draft.pairs.get("Size", ""))
    if sides is None:
        draft.missing.append("Size: the text does not hold it; the usual was taken")
        return
    size = int(sides[1]), int(sides[2])
    if first := _SIZE.fullmatch(draft.pairs.get("First pass size", "")):
        size = (int(first[1]), int(first[2])) if int(first[1]) else _first_pass(*size)
    floored = tuple(side - side % SIDE_MULTIPLE for side in size)
    if floored != size:
        draft.differs.append(
            f"Size: {size[0]}x{size[1]} is drawn as {floored[0]}x{floored[1]}: sides are multiples "
            f"of {SIDE_MULTIPLE}, there too"
        )
    draft.body |= {"img_width": floored[0], "img_height": floored[1]}


def _first_pass(width: int, height: int) -> tuple[int, int]:
    """As AUTOMATIC1111 chose it in 2022: as many pixels as 512x512 has, in steps of 64."""
    scale = math.sqrt(512 * 512 / max(1, width * height))
    return math.ceil(scale * width / 64) * 64, math.ceil(scale * height / 64) * 64


def _method(draft: Draft) -> None:
    """Sampler and schedule. One without a schedule is of the time before there were any."""
    name = draft.pairs.get("Sampler", "")
    if name.casefold() in _NO_SAMPLER:
        name = SAMPLER
        draft.missing.append(f"Sampler: the text does not hold it; {SAMPLER} was taken")
    schedule = draft.pairs.get("Schedule type", "")
    joined, spaced = sampler_names.split(name)
    sampler = sampler_names.find_sampler(joined)
    if not (schedule or spaced) and sampler in RULED_NAMES and sampler != "DDIM":
        schedule = "Uniform"
    found = automatic1111.find(name, schedule, _options(draft, sampler))
    draft.body |= found.fields
    draft.differs += found.notes
    drawn = found.fields.get("sampler")
    if drawn is None or SAMPLERS[drawn].diffusers:
        name = drawn or found.fields["scheduler"]
        draft.differs.append(f"{name} is drawn as diffusers computes it")
    elif "SDE" in drawn:
        draft.differs.append(f"{drawn}: {BROWNIAN}")


def _options(draft: Draft, sampler: str | None) -> dict[str, float]:
    """What the text sets of a sampler's options, by our names."""
    names = {"eta": "Eta DDIM" if sampler == "DDIM" else "Eta", "s_churn": "Sigma churn"}
    names |= {"s_tmin": "Sigma tmin", "s_tmax": "Sigma tmax", "s_noise": "Sigma noise"}
    said = {ours: draft.pairs[theirs] for ours, theirs in names.items() if theirs in draft.pairs}
    if sampler == "DDIM" and "eta" not in said and "Eta" in draft.pairs:
        said["eta"] = draft.pairs["Eta"]
    read = {}
    for ours, value in said.items():
        try:
            read[ours] = float(value)
        except ValueError:
            draft.differs.append(f"{names[ours]}: {value} is no number; left out")
    return read


def _noise(draft: Draft) -> None:
    """Whose noise it is, and from which seeds."""
    if draft.pairs.get("RNG", "").casefold() == "cpu":
        draft.body["noise_source"] = "torch-cpu"
    if "Variation seed strength" in draft.pairs:
        draft.body["subseed_strength"] = draft.pairs["Variation seed strength"]
        draft.body["subseed"] = draft.pairs.get("Variation seed", "0")
    sampler = draft.body.get("sampler")
    delta = draft.pairs.get("ENSD", "0")
    if delta not in ("0", "") and (sampler is None or SAMPLERS[sampler].draws):
        draft.body["eta_noise_seed_delta"] = delta


def _guidance(draft: Draft) -> None:
    """Over a part of the steps, rescaled, or thresholded."""
    try:
        draft.body |= guidance_names.from_pairs(draft.pairs)
    except ValueError as error:
        draft.differs.append(f"guidance: {error}; left out")
    if "guidance" in draft.body:
        draft.body["guidance_scale"] = draft.body.pop("guidance")


def _tiling(draft: Draft) -> None:
    """Both axes, or the one that Limner names beside."""
    if draft.pairs.get("Tiling", "").casefold() != "true":
        return
    draft.body["tiling"] = draft.pairs.get("Tiling axis", "xy")
    for name in ("start", "end"):
        if (value := draft.pairs.get(f"Tiling {name}")) is not None:
            draft.body[f"tiling_{name}"] = value


def _started(draft: Draft) -> None:
    """From a picture: the first pass of hires fix, or another.

    Texts of 2022 name the size of the first pass; how that was enlarged is not known there.
    """
    if (second := hires.meant(draft.pairs, draft.differs)) is not None:
        draft.body["hires"] = second
    elif hires.STRENGTH in draft.pairs and "First pass size" not in draft.pairs:
        draft.body["strength"] = draft.pairs[hires.STRENGTH]


READERS: tuple[Callable[[Draft], None], ...] = (
    _plain, _size, _method, _noise, _guidance, _tiling, _started,
)  # fmt: skip
