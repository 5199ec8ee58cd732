"""What a text's settings mean here: fields of a request, and what cannot be the same."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from limner.domain import automatic1111, guidance_names, sampler_names
from limner.domain.hires import UPSCALERS
from limner.domain.infotext import bounds, files, hires, loras, programs, undone
from limner.domain.infotext.named import Named, plain
from limner.domain.infotext.reading import Infotext
from limner.domain.params import SIDE_MAX, SIDE_MULTIPLE
from limner.domain.samplers import RULED_NAMES, SAMPLERS
from limner.domain.upscalers import BUILT_IN
from limner.errors import InvalidInput

SAMPLER = "Euler a"  # what these programs draw with where nothing else is said
PRECISION = (
    "numbers: such programs compute in half precision on a graphics card, as a rule, and this "
    "server in its own way; pixels differ a little"
)
BROWNIAN = "the noise between steps is drawn anew for each interval, there along a Brownian path"
COMFY = (
    "ComfyUI and its kin weigh words of prompts in another way, and draw the noise between steps "
    "from another source"
)
_NO_SAMPLER = ("", "undefined", "default", "none", "unknown")
_OF_TIMESTEPS = ("DDIM", "PNDM", "UniPC")
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
    draft = Draft(text.pairs, differs=[] if programs.is_ours(text.pairs) else [PRECISION])
    prompt, draft.files = files.of(text)
    draft.body |= {"prompt": prompt, "negative_prompt": text.negative_prompt}
    for read in READERS:
        read(draft)
    rest = _unread(draft)
    bounds.keep(draft.body, draft.differs)
    draft.differs += undone.told(rest)
    _seek_upscaler(draft)
    return draft


def _unread(draft: Draft) -> dict[str, str]:
    """The pairs that no reader took."""
    known = {*KNOWN, *guidance_names.NAMES, *files.modules(draft.pairs)}
    rest = {name: value for name, value in draft.pairs.items() if name not in known}
    if "hires" in draft.body:
        return {name: value for name, value in rest.items() if name not in hires.NAMES}
    if "strength" in draft.body:
        del rest[hires.STRENGTH]
    return rest


def _seek_upscaler(draft: Draft) -> None:
    """What is no way of making larger without a file is a file's name."""
    name = draft.body.get("hires", {}).get("upscaler", "")
    if name and name not in (*UPSCALERS, *BUILT_IN):
        draft.files += (Named("upscaler", plain(name)),)


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
    "Tiling start", "Tiling end", "Width", "Height", "Lora weights",
    "rand_device",
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
    size = _said_size(draft.pairs)
    if size is None:
        draft.missing.append("Size: the text does not hold it; the usual was taken")
        return
    if first := _SIZE.fullmatch(draft.pairs.get(hires.FIRST, "")):
        size = (int(first[1]), int(first[2])) if int(first[1]) else _first_pass(*size)
    width, height = bounds.side_fitted(size)
    if (width, height) != size:
        why = f"sides are multiples of {SIDE_MULTIPLE}, there too"
        if max(size) > SIDE_MAX:
            why = f"a side has at most {SIDE_MAX}"
        draft.differs.append(f"Size: {size[0]}x{size[1]} is drawn as {width}x{height}: {why}")
    draft.body |= {"img_width": width, "img_height": height}


def _said_size(pairs: Mapping[str, str]) -> tuple[int, int] | None:
    """Of one pair, or, as Civitai's generator has it, of two."""
    said = pairs.get("Size") or f"{pairs.get('Width', '')}x{pairs.get('Height', '')}"
    sides = _SIZE.fullmatch(said)
    return (int(sides[1]), int(sides[2])) if sides else None


def _first_pass(width: int, height: int) -> tuple[int, int]:
    """As AUTOMATIC1111 chose it in 2022: as many pixels as 512x512 has, in steps of 64."""
    scale = math.sqrt(512 * 512 / max(1, width * height))
    return math.ceil(scale * width / 64) * 64, math.ceil(scale * height / 64) * 64


def _method(draft: Draft) -> None:
    """Sampler and schedule. One without a schedule is of the time before there were any, unless
    its program is younger."""
    name = draft.pairs.get("Sampler", "")
    if name.casefold() in _NO_SAMPLER:
        name = SAMPLER
        draft.missing.append(f"Sampler: the text does not hold it; {SAMPLER} was taken")
    joined, spaced = sampler_names.split(name)
    sampler = sampler_names.find_sampler(joined)
    schedule = _schedule(draft, sampler)
    recent = programs.names_schedules(draft.pairs)
    if not (schedule or spaced or recent) and sampler in RULED_NAMES and sampler != "DDIM":
        schedule = "Uniform"
    found = automatic1111.find(name, schedule, _options(draft, sampler))
    draft.body |= found.fields
    draft.differs += found.notes
    _tell_method(draft, found.fields)


def _schedule(draft: Draft, sampler: str | None) -> str:
    """As it acts: some samplers of AUTOMATIC1111 look at none."""
    schedule = draft.pairs.get("Schedule type", "")
    if schedule.casefold() in _NO_SAMPLER:
        return ""
    if sampler not in _OF_TIMESTEPS or not programs.names_schedules(draft.pairs):
        return schedule
    if schedule.casefold() != "automatic":
        draft.differs.append(
            f"Schedule type: {undone.shown(schedule)}: {sampler} looks at none there; left out"
        )
    return ""


def _tell_method(draft: Draft, fields: Mapping[str, Any]) -> None:
    """What is done otherwise than there with a sampler of this name."""
    drawn = fields.get("sampler")
    if programs.is_ours(draft.pairs):
        return
    if drawn is None or SAMPLERS[drawn].diffusers:
        name = drawn or fields.get("scheduler")
        draft.differs += [f"{name} is drawn as diffusers computes it"] if name else []
    elif "SDE" in drawn:
        draft.differs.append(f"{drawn}: {BROWNIAN}")
    elif drawn == "DDIM":
        draft.differs.append("DDIM: all steps are drawn; AUTOMATIC1111 leaves out the last")


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
    if "cpu" in (draft.pairs.get(name, "").casefold() for name in ("RNG", "rand_device")):
        draft.body["noise_source"] = "torch-cpu"
    elif "RNG" not in draft.pairs and programs.is_comfy(draft.pairs):
        draft.body["noise_source"] = "torch-cpu"
        draft.differs.append(COMFY)
    if "Variation seed strength" in draft.pairs:
        draft.body["subseed_strength"] = draft.pairs["Variation seed strength"]
        draft.body["subseed"] = draft.pairs.get("Variation seed", "0")
    sampler = draft.body.get("sampler")
    delta = draft.pairs.get("ENSD", "0")
    if delta.casefold() not in ("0", "", "none") and (sampler is None or SAMPLERS[sampler].draws):
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
    axis = draft.pairs.get("Tiling axis", "xy")
    draft.body["tiling"] = axis if axis in ("x", "y") else "xy"
    for name in ("start", "end"):
        if (value := draft.pairs.get(f"Tiling {name}")) is not None:
            draft.body[f"tiling_{name}"] = value


def _started(draft: Draft) -> None:
    """From a picture: the first pass of hires fix, or another."""
    size = _said_size(draft.pairs) or (512, 512)
    second = hires.meant(draft.pairs, size, draft.body, draft.differs)
    if second is None:
        if hires.STRENGTH in draft.pairs:
            draft.body["strength"] = draft.pairs[hires.STRENGTH]
        return
    draft.body["hires"] = second
    _tell_method(draft, {"sampler": second["sampler"]} if "sampler" in second else {})
    if "prompt" in second:
        second["prompt"], theirs = loras.tagged(second["prompt"], {})
        if {*map(str, theirs)} - {f"LoRA {name}" for name in _names(draft)}:
            draft.differs.append("Hires prompt: both passes are drawn with the LoRAs of the prompt")


def _names(draft: Draft) -> list[str]:
    return [each.name for each in draft.files if each.kind == "LoRA"]


READERS: tuple[Callable[[Draft], None], ...] = (
    _plain, _size, _method, _noise, _guidance, _tiling, _started,
)  # fmt: skip
