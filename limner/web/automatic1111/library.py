"""Models under AUTOMATIC1111's names: its lists of them, and which one its options choose."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from limner.domain.model import Card
from limner.domain.upscalers import BUILT_IN
from limner.engine.checkpoints import ways
from limner.engine.checkpoints.inspection import LOADED
from limner.errors import InvalidInput, UnknownModel
from limner.models.entries import Entry
from limner.usecases.drawing.choosing import Chosen
from limner.web.reading.fields import Text
from limner.web.reading.form import MODEL_LENGTH_MAX
from limner.web.reading.intake import Choose

CHECKPOINT, VAE = "sd_model_checkpoint", "sd_vae"
_TEXT = Text(0, MODEL_LENGTH_MAX)
_HASHED = re.compile(r"(?P<name>.*?) *\[(?P<hash>[0-9a-f]{8,64})\]")
_SUFFIX = re.compile(r"\.(safetensors|sft|ckpt|pt)$", re.IGNORECASE)
_SCALE, _SCALES = 4, {"Scale2x": 2}
_OWN_VAE = ("", "automatic", "none")


def title(name: str, hash: str | None) -> str:
    """The name under which its clients choose a model."""
    return name if hash is None else f"{name} [{hash}]"


def checkpoints(own: Card, entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """``GET /sd-models``: the server's own first. Where files lie is not told."""
    rows = [_checkpoint(own.name, own.source_sha256 or own.sha256, f"{own.name}.safetensors")]
    for entry in entries:
        drawn = entry.facts.kind in LOADED and entry.facts.reason is None
        if drawn and entry.sha256 != own.sha256:
            sha256 = entry.source_sha256 or entry.sha256
            rows.append(_checkpoint(entry.name, sha256, entry.found.shown))
    return rows


def _checkpoint(name: str, sha256: str | None, filename: str) -> dict[str, Any]:
    hash = None if sha256 is None else sha256[:10]
    return {
        "title": title(name, hash),
        "model_name": name,
        "hash": hash,
        "sha256": sha256,
        "filename": filename,
        "config": None,
    }


def vaes(entries: Iterable[Entry]) -> list[dict[str, str]]:
    """``GET /sd-vae``."""
    usable = (e for e in _of(entries, "vae") if e.facts.reason is None)
    return [{"model_name": entry.name, "filename": entry.found.shown} for entry in usable]


def loras(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """``GET /loras``: those that can be used, for its clients put any of the list into prompts."""
    usable = (e for e in _of(entries, "lora") if e.facts.reason is None)
    return [
        {"name": entry.name, "alias": entry.name, "path": entry.found.shown, "metadata": {}}
        for entry in usable
    ]


def embeddings(entries: Iterable[Entry]) -> dict[str, dict[str, Any]]:
    """``GET /embeddings``: those that can be used, and the others."""
    told: dict[str, dict[str, Any]] = {"loaded": {}, "skipped": {}}
    for entry in _of(entries, "textual-inversion"):
        kind = "loaded" if entry.facts.reason is None else "skipped"
        about = dict.fromkeys(("step", "sd_checkpoint", "sd_checkpoint_name"))
        shape = {"shape": entry.facts.width, "vectors": entry.facts.vectors}
        told[kind][entry.name] = about | shape
    return told


def upscalers(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """``GET /upscalers``: none, what needs no file, and the library's that can be used.

    ``scale`` is a file's own; what needs none has 4, as there, and the rule for pixel art 2.
    """
    none = {"name": "None", "model_name": None, "model_path": None, "model_url": None, "scale": 1}
    built_in = ({**none, "name": each, "scale": _SCALES.get(each, _SCALE)} for each in BUILT_IN)
    return [none, *built_in, *(_upscaler(none, e) for e in usable_upscalers(entries))]


def usable_upscalers(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Those of the library, in its order."""
    return (e for e in _of(entries, "upscaler") if e.facts.reason is None)


def _upscaler(none: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    told = {"name": entry.name, "model_name": entry.name, "model_path": entry.found.shown}
    return {**none, **told, "scale": entry.facts.scale or _SCALE}


def _of(entries: Iterable[Entry], kind: str) -> Iterator[Entry]:
    return (entry for entry in entries if entry.facts.kind == kind)


async def choose(
    find: Choose, options: Mapping[str, Any], notes: list[str], within: str = ""
) -> Chosen | None:
    """What a key's options, or ``override_settings``, choose; None as ``find`` gives it.

    Raises ``InvalidInput`` of the option, whose name in sentences begins with ``within``.
    """
    given = _TEXT.read(within + CHECKPOINT, options.get(CHECKPOINT) or "").strip()
    vae = _TEXT.read(within + VAE, options.get(VAE) or "").strip()
    vae = "" if vae.lower() in _OWN_VAE else vae
    hashed = _HASHED.fullmatch(given)
    names = [given] if hashed is None else [hashed["hash"], hashed["name"]]
    if hashed and (found := await _titled(find, hashed["name"], hashed["hash"], vae)):
        return found
    try:
        found = await _first(find, names, vae)
    except InvalidInput as error:
        raise _renamed(error, within) from error
    if hashed and found and not _has_sum(found.card, hashed["hash"]):
        notes.append(
            f"{within}{CHECKPOINT} names the hash {hashed['hash']}; {found.card.name}, which was "
            f"used, has {found.card.short_hash}"
        )
    return found


async def _titled(find: Choose, name: str, hash: str, vae: str) -> Chosen | None:
    """The model of the name, where it has the hash: equal files have their titles apart."""
    try:
        found = await _first(find, [name], vae)
    except InvalidInput:
        return None
    return found if found and _has_sum(found.card, hash) else None


async def _first(find: Choose, names: list[str], vae: str) -> Chosen | None:
    """The first of several names that the server knows, with or without a file's suffix."""
    tried = [(form, other) for name in names for form in _forms(name) for other in _forms(vae)]
    for name, other in tried[:-1]:
        try:
            return await find(name, other)
        except UnknownModel as error:
            if error.field != "model" and other == tried[-1][1]:
                raise
    return await find(*tried[-1])


def _forms(name: str) -> Iterable[str]:
    return dict.fromkeys((name, _SUFFIX.sub("", name)))


def _has_sum(card: Card, digits: str) -> bool:
    sums = filter(None, (card.sha256, card.source_sha256))
    return any(each.startswith(digits) for each in sums)


def _renamed(error: InvalidInput, within: str) -> InvalidInput:
    """The same in the option's name, and in that of the VAE where it asks for one."""
    name = within + {"model": CHECKPOINT, "vae": VAE}.get(error.field, error.field)
    why = ways.over_http(str(error)).replace("`vae`", f"`{VAE}`")
    rest = why.removeprefix(error.field)
    return type(error)(name, name + (f": {why}" if rest == why else rest))
