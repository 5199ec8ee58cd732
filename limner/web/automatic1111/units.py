"""Units of AUTOMATIC1111's ControlNet extension, as controls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from limner.domain.controls import CONTROLS_MAX, WEIGHT_MAX, Control, ModeName
from limner.domain.params import ResizeMode
from limner.errors import InvalidInput
from limner.imaging.preprocessing import PREPROCESSORS
from limner.web.reading import inputs
from limner.web.reading.controls import Wanted
from limner.web.reading.fields import Blob, Flag, Number, Reader, Text, cut, read, shown

TITLE = "controlnet"

_NAME, _SHARE = Text(0, 500), Number(0, 1)
_READERS: Mapping[str, Reader] = {
    "enabled": Flag(),
    "image": Blob(),
    "module": _NAME,
    "model": _NAME,
    "weight": Number(0, WEIGHT_MAX),
    "guidance_start": _SHARE,
    "guidance_end": _SHARE,
    "threshold_a": Number(-1e6, 1e6),
    "threshold_b": Number(-1e6, 1e6),
}
_ALIASES = {
    "input_image": "image", "guidance": "guidance_end", "processor": "module",
    "preprocessor": "module",
}  # fmt: skip
# What changes nothing here: maps are made at the size to draw, and memory is the server's matter.
_QUIET = frozenset(
    {"pixel_perfect", "processor_res", "low_vram", "lowvram", "hr_option", "save_detected_map",
     "control_mode", "resize_mode", "guess_mode", "is_ui", "input_mode", "batch_images",
     "output_dir", "loopback", "use_preview_as_input", "advanced_weighting", "ipadapter_input"}
)  # fmt: skip

MODES: Mapping[str, ModeName] = {
    "balanced": "balanced",
    "my prompt is more important": "prompt",
    "controlnet is more important": "control",
}
RESIZE: Mapping[str, ResizeMode] = {
    "just resize": "stretch",
    "crop and resize": "crop",
    "resize and fill": "fill",
    # Its names of before.
    "scale to fit (inner fit)": "crop",
    "inner fit (scale to fit)": "crop",
    "envelope (outer fit)": "fill",
    "outer fit (shrink to fit)": "fill",
}
# Its modules by what of ours does their work; the rest need nets that are not here.
MODULES: Mapping[str, str] = {
    "canny": "canny",
    "softedge_hed": "softedge",
    "softedge_hedsafe": "softedge",
    "softedge_pidinet": "softedge",
    "softedge_pidisafe": "softedge",
    "scribble_xdog": "scribble",
    "scribble_hed": "scribble",
    "scribble_pidinet": "scribble",
    "lineart_standard": "lineart",
    "lineart_standard (from white bg & black line)": "lineart",
    "lineart_realistic": "lineart",
    "lineart_coarse": "lineart",
    "lineart_anime": "lineart",
    "threshold": "threshold",
    "invert": "invert",
    "invert (from white bg & black line)": "invert",
    "tile_resample": "tile",
    "t2ia_color_grid": "colour",
    "blur_gaussian": "blur",
    "shuffle": "shuffle",
}
# The modules that do themselves what those of ours do.
_ALIKE = frozenset({"canny", "scribble_xdog", "lineart_standard", "threshold", "invert", "shuffle",
                    "tile_resample", "t2ia_color_grid", "blur_gaussian"})  # fmt: skip
_HASHED = re.compile(r"(.*?) *\[[0-9a-f]{6,64}\]")


def wanted(
    field: str, units: Sequence[Any], notes: list[str], networks: Mapping[str, str] = {}
) -> tuple[Wanted, ...]:
    """The controls of those units that are on; what is done otherwise is noted.

    Raises ``InvalidInput`` naming the unit.
    """
    found = [_unit(f"{field}.{place}", unit, notes, networks) for place, unit in enumerate(units)]
    those = tuple(each for each in found if each is not None)
    if len(those) > CONTROLS_MAX:
        raise InvalidInput(
            field, f"{field} has {len(those)} units that are on; at most {CONTROLS_MAX} are drawn"
        )
    return those


def preprocessor(
    name: str, module: str, notes: list[str], networks: Mapping[str, str] = {}
) -> str | None:
    """What of ours does a module's work; None where the picture is the map.

    ``networks``: those of the library by what they make, and by their own names.
    """
    own = networks.get(module.strip())
    module = module.strip().lower()
    if module in ("", "none"):
        return None
    ours = own or MODULES.get(module, module if module in PREPROCESSORS else None)
    if ours is None and (ours := networks.get(_kind(module))) is not None:
        notes.append(f"{name} {cut(module)} was done by the network {ours}")
    elif own is not None:
        return own
    elif ours is None:
        notes.append(f"{name} {cut(module)} is not here; the picture was taken as its map")
    elif module not in _ALIKE and module.partition(" ")[0] not in _ALIKE and module != ours:
        notes.append(f"{name} {cut(module)} was done as {ours}, which needs no net")
    return ours


def _kind(module: str) -> str:
    """Of the networks that do a module's work."""
    return "depth" if module.startswith("depth") else "pose" if "openpose" in module else ""


def thresholds(ours: str | None, a: float, b: float) -> dict[str, float]:
    """A module's two numbers as options; one out of its range stands for none, as there."""
    known = PREPROCESSORS[ours].options if ours and ours in PREPROCESSORS else {}
    given = zip(known.items(), (a, b), strict=False)
    return {name: value for (name, option), value in given if option.low <= value <= option.high}


def _unit(field: str, unit: Any, notes: list[str], networks: Mapping[str, str]) -> Wanted | None:
    if not isinstance(unit, dict):
        raise InvalidInput(field, f"{field} is {shown(unit)}; it must be an object, a unit")
    if not Flag().read(f"{field}.enabled", unit.get("enabled", True)):
        return None
    values, told = read(_READERS, _ALIASES, _plain(unit))
    notes += [f"{field}.{note}" for note in told]
    model = _HASHED.sub(r"\1", values.get("model", "")).strip()
    if model.lower() in ("", "none"):
        notes.append(f"{field} was ignored: it names no model")
        return None
    ours = preprocessor(f"{field}.module", values.get("module", ""), notes, networks)
    start, end = values.get("guidance_start", 0.0), values.get("guidance_end", 1.0)
    if start >= end:
        name = f"{field}.guidance_start"
        raise InvalidInput(
            name, f"{name} is {start:g}; it must be below guidance_end, which is {end:g}"
        )
    control = Control(
        name=model,
        map_sha256=inputs.UNREAD,
        weight=values.get("weight", 1.0),
        start=start,
        end=end,
        mode=_chosen(f"{field}.control_mode", unit.get("control_mode", 0), MODES),
        preprocessor=ours,
    )
    resized = _chosen(f"{field}.resize_mode", unit.get("resize_mode", 1), RESIZE)
    a, b = (values.get(f"threshold_{letter}", -1) for letter in "ab")
    options = thresholds(ours, a, b)
    return Wanted(control, field, values.get("image"), None, resized, options)


def _plain(unit: Mapping[str, Any]) -> dict[str, Any]:
    """Without what asks for nothing; a picture that comes with a mask beside it is taken out."""
    image = unit.get("image") or unit.get("input_image")
    image = image.get("image") if isinstance(image, dict) else image
    aside = {"image", "input_image", *_QUIET}
    plain = {name: value for name, value in unit.items() if name not in aside and value}
    plain |= {name: unit[name] for name in _READERS if unit.get(name) == 0}
    return {**plain, **({"image": image} if image else {})}


def _chosen(field: str, value: Any, names: Mapping[str, Any]) -> Any:
    """By its name in any case, or by its place among the first three."""
    words = list(names)
    word = str(words[int(value)] if str(value) in ("0", "1", "2") else value).strip().lower()
    if word not in names:
        raise InvalidInput(
            field, f"{field} is {shown(value)}; it must be one of {', '.join(words[:3])}"
        )
    return names[word]
