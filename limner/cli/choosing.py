"""Models that requests in the terminal name: found in the library, loaded one after another."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from limner.cli import checks, listing
from limner.errors import InvalidInput
from limner.models import taught
from limner.settings import Settings
from limner.settings.few_steps import families
from limner.usecases.drawing.choosing import Chosen, Models
from limner.web.reading.intake import Choose


def models(settings: Settings) -> Models:
    """The model of the settings and those of their library."""
    own = functools.cache(lambda: checks.card(settings))
    few = families(settings.few_steps)
    return Models(own, library=listing.opened(settings), few_steps=few)


def chooser(settings: Settings) -> Choose:
    """Finds what a request names; None where it names nothing, and the settings' model draws,
    unless that may be made for few steps: then it is told. Its sums are made for that alone."""
    known = models(settings)
    quick = settings.few_steps or (settings.model and taught.of_path(settings.model))

    async def choose(model: str = "", vae: str = "", loras: Sequence[str] = ()) -> Chosen | None:
        told = model or vae or quick or known.taught(loras)
        return known.choose(model, vae, loras) if told else None

    return choose


def with_choice(settings: Settings, choice: Chosen | None) -> Settings:
    """The settings whose model is what was chosen."""
    if choice is None or not (choice.model or choice.vae):
        return settings
    changes: dict[str, Any] = {}
    if choice.model:
        changes = {"model": Path(choice.card.path), "vae": None, **_AS_TOLD}
    if choice.vae_path is not None:
        changes["vae"] = choice.vae_path
    return settings.changed(**changes)


# What the settings say of their own model, they do not say of another.
_AS_TOLD = {
    "prediction": "auto",
    "zero_snr": "auto",
    "text_encoder": None,
    "clip_positions": "counted",
}


def only(settings: Settings, choices: Sequence[Chosen | None]) -> Settings:
    """Those of the one model that is chosen. Raises ``InvalidInput`` where there are several."""
    first = choices[0]
    if any(_pair(choice) != _pair(first) for choice in choices):
        raise InvalidInput("model", "model and vae must be the same in all of these pictures")
    return with_choice(settings, first)


def groups(choices: Iterable[Chosen | None]) -> list[list[int]]:
    """Places of what is drawn with the same model, in the order of the first of each."""
    found: dict[tuple[str, str] | None, list[int]] = {}
    for place, choice in enumerate(choices):
        found.setdefault(_pair(choice), []).append(place)
    return list(found.values())


def _pair(choice: Chosen | None) -> tuple[str, str] | None:
    pair = ("", "") if choice is None else (choice.model, choice.vae)
    return pair if any(pair) else None
