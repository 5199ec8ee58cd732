"""``style_mix`` and ``template`` of a request: how they are read, and what they make of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from limner.domain.params import Generation, Origin
from limner.domain.styles import KINDS, Catalogue, StyleMix
from limner.errors import InvalidInput
from limner.settings import Settings
from limner.usecases.prompting import catalogue as catalogues
from limner.usecases.prompting.styling import Variant, expand
from limner.web.reading.fields import shown

_PICK: dict[str, Any] = {
    "description": "A listed name, `random`, or an object of name and weight (0 to 2).",
    "oneOf": [
        {"type": "string", "minLength": 1, "maxLength": 100},
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 100},
                "weight": {"type": "number", "minimum": 0, "maximum": 2},
            },
            "required": ["name"],
            "additionalProperties": False,
        },
    ],
}
TEXT_LENGTH_MAX = 200_000  # of a mix sent as text, before it is read as JSON
VALUES_MAX = 500  # two sequences of 64 lines and all picks are fewer
_LISTS = {"artists": 3, "movements": 3, "sequence": 64, "subsequence": 64}


class Mix:
    """A style mix: an object, or its JSON as text of a form."""

    def read(self, field: str, value: Any) -> StyleMix:
        """The mix; raises ``InvalidInput`` naming the part that cannot be read."""
        if isinstance(value, str):
            if len(value) > TEXT_LENGTH_MAX:
                raise InvalidInput(
                    field,
                    f"{field} is a text of {len(value):,} characters; at most {TEXT_LENGTH_MAX:,} "
                    "are read",
                )
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as error:
                raise InvalidInput(field, f"{field} is {shown(value)}; it must be JSON") from error
        if not isinstance(value, dict):
            raise InvalidInput(field, f"{field} is {shown(value)}; it must be an object")
        if _values(value) > VALUES_MAX:
            raise InvalidInput(
                field, f"{field} holds more than {VALUES_MAX} values; no mix has as many"
            )
        try:
            return StyleMix.model_validate(value)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join([field, *map(str, fault["loc"])])
            raise InvalidInput(where, f"{where}: {_sentence(fault)}") from error

    def schema(self) -> dict[str, Any]:
        """JSON schema of the object."""
        line = {"type": "string", "maxLength": 10_000}
        properties: dict[str, Any] = {kind: _PICK for kind in KINDS if kind not in _LISTS}
        for name, most in _LISTS.items():
            item = _PICK if name in KINDS else line
            properties[name] = {"type": "array", "maxItems": most, "items": item}
        return {"type": "object", "properties": properties, "additionalProperties": False}


def _values(value: Any) -> int:
    """How many values a mix holds, names included; counting ends beyond ``VALUES_MAX``.

    Each wrong one would cost an error of its own.
    """
    counted, left = 0, [value]
    while left and counted <= VALUES_MAX:
        each = left.pop()
        below = [*each.keys(), *each.values()] if isinstance(each, dict) else each
        if isinstance(each, dict | list):
            counted += len(below)
            left += below[: VALUES_MAX + 1]
    return counted


def _sentence(fault: Mapping[str, Any]) -> str:
    """What is wrong with a part of a mix, and what is allowed."""
    if fault["type"] == "extra_forbidden":
        return f"a mix and its picks may hold {', '.join(StyleMix.model_fields)}; name, weight"
    if fault["type"] == "too_long":
        return (
            f"it has {fault['ctx']['actual_length']} entries; at most {fault['ctx']['max_length']}"
        )
    if fault["type"] == "tuple_type":
        return f"it is {shown(fault['input'])}; it must be a list"
    return str(fault["msg"])


def catalogue(settings: Settings) -> Catalogue:
    """The built-in styles and those of the data folder, read once. Raises ``SettingsError``."""
    return _catalogue(settings.data_dir / "styles")


@lru_cache(maxsize=8)
def _catalogue(folder: Path) -> Catalogue:
    return catalogues.load(folder)


def variants(
    generation: Generation, values: Mapping[str, Any], settings: Settings
) -> tuple[Variant, ...]:
    """What is really drawn for ``generation``: one for each line of its style mix."""
    mix, template = values.get("style_mix"), values.get("template", False)
    if mix is None and not template:
        return (Variant(generation),)
    made = expand(generation, catalogue(settings), style_mix=mix, template=template)
    said = {
        "prompt": generation.prompt,
        "negative_prompt": generation.negative_prompt,
        "template": template,
    }
    return tuple(
        Variant(
            variant.generation.model_copy(
                update={"origin": Origin.model_validate({**said, "picks": variant.picks})}
            ),
            variant.picks,
        )
        for variant in made
    )


def first(
    generation: Generation, values: Mapping[str, Any], settings: Settings
) -> tuple[Generation, list[str]]:
    """The first line alone, for an answer with room for one request; and a note of the rest.

    A template is then drawn once for all samples.
    """
    made = variants(generation.model_copy(update={"samples": 1}), values, settings)
    kept = made[0].generation.model_copy(update={"samples": generation.samples})
    if len(made) == 1:
        return kept, []
    return kept, [
        f"one of {len(made)} lines of style_mix was drawn and billed: this answer has room for "
        "one; for all, send base64 true, output grid, the header Accept: multipart/mixed, or use "
        "POST /api/requests"
    ]
