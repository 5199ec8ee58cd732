"""A text of another program: what it asks for here, and which of its files are not here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.domain.infotext import meaning, reading
from limner.domain.infotext.meaning import Draft
from limner.domain.infotext.named import Kind, Named, plain
from limner.domain.loras import LORAS_MAX, STRENGTH_MAX
from limner.domain.model import Card
from limner.engine.checkpoints import short_hashes
from limner.engine.checkpoints.inspection import LOADED
from limner.errors import CheckpointError
from limner.models.entries import Entry
from limner.models.listing import Library

KINDS: Mapping[Kind, tuple[str, ...]] = {
    "checkpoint": LOADED,
    "VAE": ("vae",),
    "LoRA": ("lora",),
    "embedding": ("textual-inversion",),
    "hypernetwork": ("hypernetwork",),
    "upscaler": ("upscaler",),
}
# Upscalers that AUTOMATIC1111 fetches itself, by its names for them.
UPSCALER_FILES: Mapping[str, str] = {
    "r-esrgan 4x+": "RealESRGAN_x4plus",
    "r-esrgan 4x+ anime6b": "RealESRGAN_x4plus_anime_6B",
    "r-esrgan 2x+": "RealESRGAN_x2plus",
    "r-esrgan general 4xv3": "realesr-general-x4v3",
    "r-esrgan general wdn 4xv3": "realesr-general-wdn-x4v3",
    "r-esrgan animevideo": "realesr-animevideov3",
    "scunet": "scunet_color_real_gan",
    "scunet psnr": "scunet_color_real_psnr",
}
_BETWEEN = re.compile(r"[\s_-]+")
_OLD = 8  # digits of a hash of 2022
FILES_MAX = 32


@dataclass(frozen=True)
class Settled:
    """``body`` asks for the picture in the names of ``POST /api/draw``, in values as they are read.

    ``missing`` are what the text speaks of and is not here; ``differs`` what cannot be the same.
    """

    body: dict[str, Any]
    missing: tuple[str, ...]
    differs: tuple[str, ...]


class FileFinder:
    """Where files are looked for: a library, and the model that draws where none is named.

    ``thorough``: sums that are not known are made of all files; else of those of the name alone,
    for a server makes them all in time.
    """

    def __init__(self, library: Library, own: Card | None, *, thorough: bool = False) -> None:
        self.own = own
        self._library = library
        self._thorough = thorough

    def is_own(self, named: Named) -> bool:
        """Whether the model that draws anyway has one of the hashes, or, without any, the name."""
        if self.own is None:
            return False
        sums = list(filter(None, (self.own.sha256, self.own.source_sha256)))
        if named.digits:
            return any(_begins(sums, Path(self.own.path), digits) for digits in named.digits)
        return named.name.casefold() in (
            self.own.name.casefold(),
            plain(self.own.path).casefold(),
        )

    def find(self, named: Named) -> Entry | None:
        """By one of the hashes, else by the name."""
        those = [e for e in self._library.entries() if e.facts.kind in KINDS[named.kind]]
        alike = [e for e in those if named.name and _is_called(e, named.name)]
        if named.digits and (found := self._by_hash(those, alike, named.digits)):
            return found
        return alike[0] if alike else None

    def has(self, entry: Entry, digits: tuple[str, ...]) -> bool:
        """Whether a file has one of these hashes."""
        sums = list(filter(None, (entry.sha256, entry.source_sha256, entry.short_hash)))
        return any(_begins(sums, entry.file, each) for each in digits)

    def unknown(self, named: Named) -> int:
        """How many files might yet turn out to have one of the hashes."""
        those = (e for e in self._library.entries() if e.facts.kind in KINDS[named.kind])
        return sum(each.sha256 is None for each in those) if named.digits else 0

    def _by_hash(
        self, those: list[Entry], alike: list[Entry], digits: tuple[str, ...]
    ) -> Entry | None:
        for entry in those:
            if self.has(entry, digits):
                return entry
        rest = those if self._thorough else []
        for entry in alike + rest:
            with suppress(CheckpointError):
                if self.has(self._identified(entry), digits):
                    return entry
        return None

    def _identified(self, entry: Entry) -> Entry:
        self._library.identify(entry)
        if entry.facts.kind == "lora":
            self._library.short_hash(entry)
        return next((e for e in self._library.entries() if e.file == entry.file), entry)

    def identified(self, entry: Entry) -> Entry:
        """With its sums; as it was where they cannot be made."""
        try:
            return self._identified(entry)
        except CheckpointError:
            return entry


def settle(text: str, finder: FileFinder, *, from_picture: bool = False) -> Settled:
    """The request that draws what ``text`` describes with the files that are here. Reads files.

    ``from_picture``: the caller has the picture that it starts from. Raises ``InvalidInput`` for a
    text without settings. Of the files that it names, the checkpoint before all, ``FILES_MAX`` are
    looked for: each may be any of the library.
    """
    draft = meaning.mean(reading.read(text))
    files_named = sorted(draft.files, key=lambda named: named.kind not in ("checkpoint", "VAE"))
    for named in files_named[:FILES_MAX]:
        _SEEKERS[named.kind](draft, named, finder)
    if more := files_named[FILES_MAX:]:
        draft.missing.append(
            f"{len(more)} of the {len(files_named)} files that it names were not looked for, "
            f"{more[0]} the first; at most {FILES_MAX} are"
        )
    if not from_picture and (strength := draft.body.pop("strength", None)) is not None:
        draft.missing.append(
            f"the picture that it starts from (Denoising strength: {strength}): no text holds it; "
            "name it as image, or the drawing begins with noise"
        )
    return Settled(draft.body, tuple(draft.missing), tuple(dict.fromkeys(draft.differs)))


def _seek_checkpoint(draft: Draft, named: Named, finder: FileFinder) -> None:
    own = "the model that is loaded" if finder.own is None else finder.own.name
    if not (named.name or named.digits):
        draft.missing.append(f"Model: the text does not hold it; {own} draws")
    elif not finder.is_own(named):
        found = _found(draft, named, finder, f"{own} draws in its place")
        if found is None and named.digits and finder.is_own(Named("checkpoint", named.name)):
            draft.missing.pop()
            draft.differs.append(
                _renamed(named, finder.own.short_hash if finder.own else "unknown")
            )
        draft.body |= {} if found is None else {"model": found.name}


def _seek_vae(draft: Draft, named: Named, finder: FileFinder) -> None:
    found = _found(draft, named, finder, "the checkpoint's own takes its place")
    draft.body |= {} if found is None else {"vae": found.name}


def _seek_lora(draft: Draft, named: Named, finder: FileFinder) -> None:
    found = _found(draft, named, finder, "drawn without it")
    if found is None:
        return
    if len(draft.body.get("loras", ())) == LORAS_MAX:
        draft.differs.append(f"{named}: at most {LORAS_MAX} LoRAs draw here; left out")
        return
    strengths = {"unet": named.unet, "text_encoder": named.text_encoder}
    most = {part: max(-STRENGTH_MAX, min(s, STRENGTH_MAX)) for part, s in strengths.items()}
    draft.body.setdefault("loras", []).append({"name": found.name, **most})
    draft.differs += _of_tag(named, strengths != most)
    if named.guessed:
        draft.missing.append(f"{named}: the text does not hold its strength; 1 was taken")


def _of_tag(named: Named, too_strong: bool) -> Iterator[str]:
    """What of a LoRA's tag is not done as it says."""
    if too_strong:
        yield f"{named}: its strength goes from {-STRENGTH_MAX:g} to {STRENGTH_MAX:g} here"
    if named.more:
        yield f"{named}: {named.more!r} of its tag is not known here; left out"


def _seek_upscaler(draft: Draft, named: Named, finder: FileFinder) -> None:
    found = _found(draft, named, finder, "Lanczos takes its place")
    draft.body["hires"]["upscaler"] = "Lanczos" if found is None else found.name


def _seek_other(draft: Draft, named: Named, finder: FileFinder) -> None:
    """An embedding is drawn with by its word in the prompt, where it is one of the file here."""
    found = _found(draft, named, finder, "drawn without it")
    if found is None:
        for prompt in ("prompt", "negative_prompt"):
            word = re.compile(rf"embedding:{re.escape(named.name)}(?![\w-])", re.IGNORECASE)
            draft.body[prompt] = word.sub("", draft.body[prompt])
    elif not _is_called(found, named.name):
        draft.missing.append(f"{named} is called {found.name} here, which acts by that word alone")


_SEEKERS: Mapping[Kind, Callable[[Draft, Named, FileFinder], None]] = {
    "checkpoint": _seek_checkpoint,
    "VAE": _seek_vae,
    "LoRA": _seek_lora,
    "embedding": _seek_other,
    "hypernetwork": _seek_other,
    "upscaler": _seek_upscaler,
}


def _found(draft: Draft, named: Named, finder: FileFinder, otherwise: str) -> Entry | None:
    """What can be drawn with; else ``draft`` says what is missing."""
    entry = finder.find(named)
    if entry is None:
        unknown = finder.unknown(named)
        of = "hash of 1 file there is" if unknown == 1 else f"hashes of {unknown} files there are"
        yet = f" (the {of} not known yet)" if unknown else ""
        draft.missing.append(f"{named} is not in the library{yet}; {otherwise}")
        return None
    if entry.facts.reason is not None:
        draft.missing.append(
            f"{named} cannot be used: {entry.facts.reason} {otherwise.capitalize()}"
        )
        return None
    if named.digits and not finder.has(entry := finder.identified(entry), named.digits):
        draft.differs.append(_renamed(named, next(_short(entry), "unknown")))
    return entry


def _renamed(named: Named, mine: str) -> str:
    return f"{named}: found by its name; the file here has the hash {mine}"


def _short(entry: Entry) -> Iterator[str]:
    if entry.short_hash:
        yield entry.short_hash
    if entry.sha256:
        yield (entry.source_sha256 or entry.sha256)[:10]


def _begins(sums: list[str], path: Path, digits: str) -> bool:
    if len(digits) > _OLD:
        return any(known.startswith(digits) for known in sums)
    with suppress(OSError):
        return short_hashes.old_hash(path) == digits
    return False


def _is_called(entry: Entry, name: str) -> bool:
    """Whatever the case, the folder and the suffix; upscalers whatever stands between words."""
    names = {entry.name, entry.found.stem, plain(entry.found.shown)}
    if entry.facts.kind == "upscaler":
        wanted = UPSCALER_FILES.get(name.casefold(), name)
        return _BETWEEN.sub("", wanted).casefold() in {
            _BETWEEN.sub("", each).casefold() for each in names
        }
    return name.casefold() in {each.casefold() for each in names}
