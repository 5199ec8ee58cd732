"""The calls of AUTOMATIC1111's ControlNet extension: ``/controlnet``."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner import imaging, pools
from limner.domain.controls import CONTROLS_MAX, KINDS, WORDS
from limner.engine.batching.ticket import Pixels
from limner.imaging.preprocessing import PREPROCESSORS, Option
from limner.models.entries import Entry
from limner.web.answers import Json, adjustments
from limner.web.application import Application
from limner.web.automatic1111 import docs, library, options, units
from limner.web.drawing import Api, unless_gone
from limner.web.reading import maps
from limner.web.reading.fields import Blob, Items, Number, Reader, Text, Whole, read

ROOT = "/controlnet"
VERSION = 2  # of the extension's API
IMAGES_MAX = 4
_ALIASES = {"controlnet_images": "controlnet_input_images"}
_THRESHOLD = Number(-1e6, 1e6)
DETECT: Mapping[str, Reader] = {
    "controlnet_module": Text(0, 500),
    "controlnet_input_images": Items(Blob(), IMAGES_MAX),
    "controlnet_processor_res": Whole(64, 2048),
    "controlnet_threshold_a": _THRESHOLD,
    "controlnet_threshold_b": _THRESHOLD,
}
# Types of controls by a word in the names of their files, and the module that makes their maps.
TYPES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "Canny": (WORDS["canny"], "canny"),
    "Depth": (WORDS["depth"], "none"),
    "OpenPose": (WORDS["openpose"], "none"),
    "Lineart": (("lineart",), "lineart_standard"),
    "SoftEdge": (WORDS["softedge"], "softedge_pidinet"),
    "Scribble/Sketch": (WORDS["scribble"], "scribble_xdog"),
    "Tile/Blur": (("tile", "blur"), "tile_resample"),
    "Shuffle": (("shuffle",), "shuffle"),
    "T2I-Adapter": (("t2i",), "none"),
}


def install(app: Application, api: Api) -> None:
    """Add the routes."""
    entries = api.services.models.entries
    makers: dict[str, Callable[[], Any]] = {
        "version": lambda: {"version": VERSION},
        "settings": lambda: {"control_net_unit_count": CONTROLS_MAX},
        "model_list": lambda: {"model_list": models(entries())},
        "module_list": lambda: module_list(api.services.preprocessing.listed()),
        "control_types": lambda: {"control_types": control_types(models(entries()))},
    }
    for name, make in makers.items():
        app.add_api_route(
            f"{ROOT}/{name}",
            options.lister(make),
            methods=["GET"],
            **docs.list_operation(f"controlnet-{name}"),
        )
    detect = _detector(api)
    app.add_api_route(f"{ROOT}/detect", detect, methods=["POST"], **docs.detect_operation(DETECT))


def models(entries: Iterable[Entry]) -> list[str]:
    """Those that can be drawn with, under the names by which units call them."""
    usable = (e for e in entries if e.facts.kind in KINDS and e.facts.reason is None)
    return [library.title(e.name, e.sha256 and e.sha256[:8]) for e in usable]


def module_list(networks: Iterable[Entry] = ()) -> dict[str, Any]:
    """``GET /module_list``: with the numbers that each takes; ``networks`` are the library's."""
    details = {"none": _detail({})}
    details |= {name: _detail(PREPROCESSORS[ours].options) for name, ours in units.MODULES.items()}
    details |= {each.name: _detail({}) for each in networks}
    return {"module_list": list(details), "module_detail": details}


def _detail(known: Mapping[str, Option]) -> dict[str, Any]:
    sliders = [
        {"name": name, "value": o.default, "min": o.low, "max": o.high}
        for name, o in known.items()
    ]  # fmt: skip
    return {"model_free": False, "sliders": sliders}


def control_types(found: list[str]) -> dict[str, dict[str, Any]]:
    """``GET /control_types``: the models and modules of each type, and the first of them."""
    every = ["none", *units.MODULES]
    told = {"All": _type(every, found, "none")}
    for name, (words, module) in TYPES.items():
        those = [model for model in found if any(word in model.lower() for word in words)]
        alike = [each for each in every if module.partition("_")[0] == each.partition("_")[0]]
        told[name] = _type(list(dict.fromkeys(["none", *alike])), those, module)
    return told


def _type(modules: list[str], found: list[str], module: str) -> dict[str, Any]:
    return {
        "module_list": modules,
        "model_list": ["None", *found],
        "default_option": module,
        "default_model": found[0] if found else "None",
    }


def _detector(api: Api) -> Callable[[Request], Any]:
    async def detect(request: Request) -> Response:
        fields = await options.read_body(request, api)
        values, notes = read(DETECT, _ALIASES, fields)
        networks = await api.services.preprocessing.names()
        module = units.preprocessor(
            "controlnet_module", values.get("controlnet_module", "none"), notes, networks
        )
        numbers = (values.get(f"controlnet_threshold_{letter}", -1) for letter in "ab")
        intake, given = api.intake(request), units.thresholds(module, *numbers)
        maker = await maps.maker(intake, "controlnet_", module, given)
        fitted = {"resolution": values.get("controlnet_processor_res", 512)}
        images = []
        for image in values.get("controlnet_input_images", []):
            work = maps.made(
                intake, maker, "controlnet_input_images", image, imaging.CONTROL_BYTES_MAX, **fitted
            )
            made, _ = await unless_gone(request, work)
            images.append(await pools.FILES.run(_base64, made))
        told_aside = {"x-adjustments": adjustments(notes)} if notes else None
        return Json({"images": images, "info": "Success"}, headers=told_aside)

    return detect


def _base64(pixels: Pixels) -> str:
    return base64.b64encode(imaging.to_png(pixels)).decode()
