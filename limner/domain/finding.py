"""What a stored picture is found by: words of its prompts, its styles, what it was drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SEARCHED_MAX = 20_000  # characters that are looked through, of a prompt that may be longer


def words_of(record: Mapping[str, Any]) -> str:
    """What searches look through, of a receipt: prompts, styles and the model, in lower case.

    Each style is also there as ``style:NAME``, between line ends, so that it is found as a whole.
    Never raises: a receipt of another version is found by what can be read of it.
    """
    parameters = _object(record, "parameters")
    origin = _object(parameters, "origin")
    texts = [
        _object(record, "prompts").get("positive"),
        origin.get("prompt"),
        _object(record, "model").get("name"),
        *(each.get("name") for each in _objects(parameters.get("loras"))),
    ]
    said = [text[:SEARCHED_MAX] for text in texts if isinstance(text, str)]
    return "\n".join(dict.fromkeys(folded(text) for text in said)) + "".join(
        f"\n{style_word(name)}" for name in _styles(origin)
    )


def style_word(name: str) -> str:
    """By what ``words_of`` says that a style was taken."""
    return f"style:{folded(name)}\n"


def folded(text: str) -> str:
    """Text as it is compared: whatever its case, and how its words are parted."""
    return " ".join(text.casefold().split())


def source_of(record: Mapping[str, Any]) -> str | None:
    """SHA-256 of the pixels that a picture was drawn from; None of one drawn from noise."""
    sha256 = _object(_object(record, "parameters"), "source").get("sha256")
    return sha256 if isinstance(sha256, str) else None


def model_sums(record: Mapping[str, Any]) -> str:
    """SHA-256s of what drew, the checkpoint's and its author's file's, each behind a "\\n"."""
    model = _object(record, "model")
    sums = (model.get(name) for name in ("sha256", "source_sha256"))
    return "".join(f"\n{each}" for each in sums if isinstance(each, str))


def _styles(origin: Mapping[str, Any]) -> Iterable[str]:
    for picked in _object(origin, "picks").values():
        for each in _objects(picked):
            if isinstance(name := each.get("name"), str):
                yield name


def _object(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = record.get(name)
    return found if isinstance(found, Mapping) else {}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    entries = value if isinstance(value, list | tuple) else []
    return [each for each in entries if isinstance(each, Mapping)]
