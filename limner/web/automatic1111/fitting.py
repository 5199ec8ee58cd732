"""Its defaults for the model which draws, where a body does not say: told in a note."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from limner.usecases.drawing.choosing import Chosen
from limner.web.reading import fitting
from limner.web.reading.fitting import Said

_SAYING: Mapping[str, Said] = {
    "sampler_name": "sampler",
    "sampler_index": "sampler",
    "steps": "steps",
    "cfg_scale": "guidance",
}


def fit(values: dict[str, Any], given: Collection[str], choice: Chosen | None) -> list[str]:
    """Change ``values`` to what a model of few steps is drawn with, and say what was changed."""
    fit = fitting.of(choice)
    if fit is None:
        return []
    own = None if "scheduler" in given else fit.schedule
    schedule = own or values["scheduler"]
    said = {_SAYING[name] for name in given if name in _SAYING}
    if "steps" in said and not fitting.reaches(fit, values["steps"]):
        said.add("sampler")
    ours: Mapping[Said, dict[str, Any]] = {
        "sampler": {
            "sampler_index": fit.sampler,
            "scheduler": schedule,
        },
        "steps": {"steps": fit.steps},
        "guidance": {"cfg_scale": fit.guidance},
    }
    for name, changed in ours.items():
        if name not in said:
            values |= changed
    return fitting.told(choice, said)
