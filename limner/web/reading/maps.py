"""What makes the map of a picture: a built-in preprocessor, or a network of the library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from limner.engine.batching.ticket import Pixels
from limner.errors import InvalidInput
from limner.imaging.preprocessing import PREPROCESSORS, Option
from limner.usecases.preprocessing import Chosen
from limner.web.reading.fields import Number, cut, shown
from limner.web.reading.intake import Intake

NONE = "none"
NAME_MAX = 500


class Name:
    """A built-in preprocessor in any case, or the name or SHA-256 of a network of the library."""

    def read(self, field: str, value: Any) -> str:
        """As it is called; which networks there are is seen when it is asked for."""
        word = value.strip() if isinstance(value, str) else ""
        if not 0 < len(word) <= NAME_MAX:
            allowed = ", ".join((NONE, *PREPROCESSORS))
            raise InvalidInput(
                field,
                f"{field} is {shown(value)}; it must be one of {allowed}, or a network of depth "
                "or pose of the library",
            )
        return word.lower() if word.lower() in (NONE, *PREPROCESSORS) else word

    def schema(self) -> dict[str, Any]:
        built_in = ", ".join((NONE, *PREPROCESSORS))
        told = f"One of {built_in}, or the name of a network of depth or pose of the library."
        return {"type": "string", "maxLength": NAME_MAX, "description": told}


class Options:
    """Numbers by name, as the chosen preprocessor takes them."""

    def read(self, field: str, value: Any) -> dict[str, float]:
        """The numbers; raises ``InvalidInput``. Which there may be is seen by ``options``."""
        if not isinstance(value, dict):
            raise InvalidInput(field, f"{field} is {shown(value)}; it must be an object of numbers")
        return dict(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {"type": "number"}}


def options(
    field: str, preprocessor: str | None, known: Mapping[str, Option], given: Mapping[str, Any]
) -> dict[str, float]:
    """The options of a preprocessor, each in its range. Raises ``InvalidInput``."""
    if foreign := [name for name in given if name not in known]:
        may = f"it may have {', '.join(known)}" if known else "there are none"
        raise InvalidInput(field, f"{field} has {cut(foreign[0])}; of {preprocessor} {may}")
    return {
        name: Number(known[name].low, known[name].high).read(f"{field}.{name}", value)
        for name, value in given.items()
    }


def built_in(preprocessor: str | None) -> bool:
    """Whether no file is needed for it; None is the picture itself."""
    return preprocessor is None or preprocessor in PREPROCESSORS


def known(preprocessor: str | None) -> Mapping[str, Option]:
    """The options of one that is built in."""
    return {} if preprocessor is None else PREPROCESSORS[preprocessor].options


@dataclass(frozen=True)
class Maker:
    """A preprocessor with its options; ``network``: the file of one that is not built in."""

    field: str
    name: str | None
    options: Mapping[str, float]
    network: Chosen | None = None


async def maker(
    intake: Intake, prefix: str, preprocessor: str | None, given: Mapping[str, Any]
) -> Maker:
    """What a body calls ``prefix`` + ``preprocessor``. Raises ``InvalidInput`` of it or options."""
    field, network = f"{prefix}preprocessor", None
    if preprocessor is None or preprocessor in PREPROCESSORS:
        may = known(preprocessor)
    else:
        network = await intake.preprocessing.choose(preprocessor, field)
        may = network.maker.options
    numbers = options(f"{prefix}options", preprocessor, may, given)
    return Maker(field, preprocessor, numbers, network)


async def made(
    intake: Intake, maker: Maker, field: str, image: str | bytes, size: int, **fitted: Any
) -> tuple[Pixels, list[str]]:
    """The map of the picture in ``field``, RGB, ``size`` bytes at most, and notes.

    ``fitted`` as ``imaging.tasks.control`` takes it. Raises ``InvalidInput``, and as
    ``Intake.run``.
    """
    network = maker.network
    asked: dict[str, Any] = {"preprocessor": None, "options": {}}
    if network is None:
        asked = {"preprocessor": maker.name, "options": dict(maker.options)}
    result = await intake.run("control", field, image, size, **asked, **fitted)
    if network is None:
        return result.arrays[0], result.notes
    pixels = result.arrays[0]
    with intake.budget.holding(intake.owner, pixels.nbytes):
        drawn = await intake.preprocessing.make(network, pixels, maker.options, maker.field)
    intake.budget.keep(intake.owner, drawn)
    return drawn, result.notes
