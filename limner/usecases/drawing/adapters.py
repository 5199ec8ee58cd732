"""The files that requests draw with beside a model: LoRAs, controls, embeddings.

They are found by what requests call them, and bound to these by their SHA-256.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from limner import pools
from limner.domain import controls
from limner.domain.controls import Control
from limner.domain.detectors import Detector
from limner.domain.embeddings import Embedding
from limner.domain.hires import UPSCALERS, Hires
from limner.domain.loras import Lora
from limner.domain.params import Generation
from limner.domain.parts import Detail, SdUpscale
from limner.domain.passes import is_plain
from limner.domain.upscalers import BUILT_IN, Upscaler
from limner.engine.batching.client import EngineClient
from limner.engine.batching.ticket import Ticket
from limner.engine.checkpoints.inspection import DESCRIPTIONS
from limner.errors import CheckpointError, InvalidInput, UnknownModel
from limner.models.entries import Entry
from limner.models.facts import EMBEDDING
from limner.models.listing import Library
from limner.usecases.drawing.embeddings import Words, brought

Adapter = Lora | Control | Upscaler | Detector
Larger = TypeVar("Larger", Hires, SdUpscale)


@dataclass(frozen=True)
class Kinds:
    """What a field of a ``Generation`` may name: kinds of the library, and what they are called."""

    kinds: tuple[str, ...]
    called: str


HIRES, SD_UPSCALE, DETAILS = "hires.upscaler", "sd_upscale.upscaler", "details.detector"
_UPSCALER = Kinds(("upscaler",), "upscaler")
FIELDS: Mapping[str, Kinds] = {
    "loras": Kinds(("lora",), "LoRA"),
    "controls": Kinds(controls.KINDS, "ControlNet or T2I-Adapter"),
    HIRES: _UPSCALER,
    SD_UPSCALE: _UPSCALER,
    DETAILS: Kinds(("detector",), "detector"),
}
UPSCALER = FIELDS[HIRES]


def named(line: Generation) -> Iterator[tuple[str, Adapter]]:
    """All that a line names in ``FIELDS``, each behind its field."""
    yield from (("loras", lora) for lora in line.loras)
    yield from (("controls", control) for control in line.controls)
    for field, larger in ((HIRES, line.hires), (SD_UPSCALE, line.sd_upscale)):
        file = None if larger is None else larger.file
        if file is not None and not file.built_in:
            yield field, file
    yield from ((DETAILS, each.file) for each in line.details if each.file is not None)


class AdapterFiles:
    """Those of a library. Everything here may read files; for any thread.

    What a request was bound to is found again at once, also where the library's list is older.
    """

    def __init__(self, library: Library | None = None) -> None:
        self._library = library
        self._words = Words(library)
        self._paths: dict[str, Path] = {}
        self._lock = threading.Lock()

    def bind(self, lines: Sequence[Generation]) -> tuple[Generation, ...]:
        """``lines`` with the name and SHA-256 of each file, also of those that prompts name.

        And of a control its kind.

        Raises:
            InvalidInput: of one of ``FIELDS`` or ``prompt``, for what is not there, may be several,
                or cannot be used; the sentence names it.
        """
        bound = (self._bound_line(line) if any(named(line)) else line for line in lines)
        return tuple(map(self.with_words, bound))

    def with_words(self, line: Generation) -> Generation:
        """A line whose LoRAs are bound with the embeddings that its prompts name, as ``bind``."""
        return self._words.bind(line, [each for lora in line.loras for each in self._brought(lora)])

    async def bound(self, lines: Sequence[Generation]) -> tuple[Generation, ...]:
        """The same beside an event loop, and at once where no file is named."""
        if not any(any(named(line)) or line.embeddings is None for line in lines):
            return tuple(lines)
        return await pools.MODELS.run(self.bind, lines)

    async def check(
        self, lines: Sequence[Generation], engine: EngineClient, model: str = "", vae: str = ""
    ) -> None:
        """Have the engine read the files of bound lines, and plan those that are not plain; raises
        for what it cannot draw with. ``model`` and ``vae`` as tickets name them."""
        for line in lines:
            if any(named(line)) or line.embeddings or not is_plain(line):
                await pools.MODELS.run(engine.check, Ticket("", line, "", model=model, vae=vae))

    def find(self, sha256: str) -> Path | None:
        """Where the file of this SHA-256 lies, or lay when it was bound; None: nobody knows."""
        with self._lock:
            known = self._paths.get(sha256)
        if known is not None or self._library is None:
            return known
        try:
            kinds = [kind for each in FIELDS.values() for kind in each.kinds]
            return self._library.find(sha256, [*kinds, EMBEDDING]).file
        except InvalidInput:
            return None

    def upscaler(self, name: str, field: str) -> Upscaler:
        """The one of this name or SHA-256. Raises ``InvalidInput`` of ``field``."""
        entry, sha256 = self.file(field, name, UPSCALER)
        return Upscaler(name=entry.name, sha256=sha256)

    def file(self, field: str, name: str, wanted: Kinds) -> tuple[Entry, str]:
        """The file of this name or SHA-256, and its sum. Raises ``InvalidInput`` of ``field``."""
        entry = self._entry(field, name, wanted)
        return entry, self._identified(field, entry)

    def seek(self, line: Generation) -> None:
        """Make the sums by which a receipt's files are found; in a server all are made in time.

        Files of their names come first. Raises ``InvalidInput`` for one that is not there.
        """
        words = (("prompt", each) for each in line.embeddings or ())
        for field, adapter in (*named(line), *words):
            if self.find(adapter.sha256) is None and not self._sought(field, adapter):
                raise InvalidInput(
                    field,
                    f"{field}: no file is {adapter.name} (SHA-256 {adapter.sha256[:12]}...); "
                    "put it into a folder of models",
                )

    def _sought(self, field: str, adapter: Adapter | Embedding) -> bool:
        if self._library is None:
            return False
        # A word may be an embedding that a LoRA brings.
        kinds = FIELDS[field].kinds if field in FIELDS else (EMBEDDING, "lora")
        those = [e for e in self._library.entries() if e.facts.kind in kinds and e.sha256 is None]
        for entry in sorted(those, key=lambda e: e.name != adapter.name):
            with suppress(CheckpointError):
                if self._library.identify(entry) == adapter.sha256:
                    return True
        return False

    def find_any(self, sha256: str) -> Path | None:
        """The same of a model of any kind that the library has."""
        library = self._library
        return self.find(sha256) or (None if library is None else library.file(sha256))

    def _brought(self, lora: Lora) -> list[Embedding]:
        with self._lock:
            path = self._paths.get(lora.sha256)
        try:
            return [] if path is None else brought(lora.sha256, path)
        except CheckpointError as error:
            raise InvalidInput("loras", f"loras: {error}") from error

    def _bound_line(self, line: Generation) -> Generation:
        found: dict[str, list[Any]] = {field: [] for field in FIELDS}
        for field, adapter in named(line):
            found[field].append(self._bound(field, adapter))
        larger: dict[str, Any] = {
            "hires": _with_file(line.hires, *found.pop(HIRES)),
            "sd_upscale": _with_file(line.sd_upscale, *found.pop(SD_UPSCALE)),
        }
        detectors = found.pop(DETAILS)
        larger |= {"details": _with_detectors(line.details, detectors)} if detectors else {}
        named_ones = {field: tuple(those) for field, those in found.items()}
        return line.model_copy(update=named_ones | larger)

    def _bound(self, field: str, adapter: Adapter) -> Adapter:
        entry = self._entry(field, adapter.sha256 or adapter.name, FIELDS[field])
        sha256 = self._identified(field, entry)
        assert self._library is not None, "an entry is of a library"
        try:
            short = self._library.short_hash(entry) if isinstance(adapter, Lora) else ""
        except CheckpointError as error:
            raise InvalidInput(field, f"{field}: {error}") from error
        if adapter.sha256 and sha256 != adapter.sha256:
            raise InvalidInput(
                field, f"{field}: the file of SHA-256 {adapter.sha256[:12]}... has changed"
            )
        told: dict[str, Any] = {"sha256": sha256, "name": adapter.name or entry.name}
        if isinstance(adapter, Control):
            told["kind"] = entry.facts.kind
        elif isinstance(adapter, Lora):
            told["short_hash"] = short
        return adapter.model_copy(update=told)

    def _identified(self, field: str, entry: Entry) -> str:
        """The SHA-256 of an entry's file, which is found by it from now on."""
        assert self._library is not None, "an entry is of a library"
        if entry.facts.reason is not None:
            raise InvalidInput(field, f"{field}: {entry.name} cannot be used: {entry.facts.reason}")
        try:
            sha256 = self._library.identify(entry)
        except CheckpointError as error:
            raise InvalidInput(field, f"{field}: {error}") from error
        with self._lock:
            self._paths[sha256] = entry.file
        return sha256

    def _entry(self, field: str, name: str, wanted: Kinds) -> Entry:
        if self._library is None:
            raise UnknownModel(field, f"{field} is {name!r}; this server has no library of models")
        with self._lock:
            known = self._paths.get(name)
        for entry in self._library.entries() if known else ():
            if entry.file == known:
                return entry
        try:
            return self._library.find(name, wanted.kinds, field)
        except UnknownModel as unknown:
            told = _no_upscaler(field, name) if wanted is UPSCALER else unknown
            raise _another(self._library, field, name, wanted) or told from None


def _with_file(larger: Larger | None, *found: Upscaler) -> Larger | None:
    """What makes a picture larger with the file that was found for it, if it names one."""
    if larger is None or not found:
        return larger
    told = {"upscaler": found[0].name, "upscaler_sha256": found[0].sha256}
    return larger.model_copy(update=told)


def _with_detectors(details: Sequence[Detail], found: Sequence[Detector]) -> tuple[Detail, ...]:
    """Details with the files that were found for those that name one, in their order."""
    files = iter(found)
    return tuple(
        each if each.file is None else each.model_copy(update=_told(next(files)))
        for each in details
    )


def _told(detector: Detector) -> dict[str, str]:
    return {"detector": detector.name, "detector_sha256": detector.sha256}


def _no_upscaler(field: str, name: str) -> UnknownModel:
    known = ", ".join((*(UPSCALERS if field == HIRES else BUILT_IN[:2]), BUILT_IN[2]))
    return UnknownModel(
        field, f"{field} is {name!r}; it must be one of {known}, or an upscaler of the library"
    )


def of_kind(entries: Iterable[Entry], kind: str, whose: str) -> str:
    """The name of a control of a kind of ``controls.WORDS``, told by the names of files.

    Of several the ControlNet that is surely for Stable Diffusion 1 and has the shortest name.
    Raises ``UnknownModel``, which says by ``whose`` what ``entries`` are.
    """
    words = controls.WORDS[kind]
    those = [
        entry
        for entry in entries
        if entry.facts.kind in controls.KINDS and entry.facts.reason is None
        if any(word in entry.name.lower() for word in words)
    ]
    if not those:
        raise UnknownModel(
            "controls",
            f"controls: {whose} has no {kind} ControlNet: no file of one has "
            f"{' or '.join(words)} in its name",
        )
    return min(those, key=_rank).name


def _rank(entry: Entry) -> tuple[bool, bool, int, str]:
    facts = entry.facts
    return facts.kind != "controlnet", facts.base != "sd1", len(entry.name), entry.name


def _another(library: Library, field: str, name: str, wanted: Kinds) -> InvalidInput | None:
    """The error for a name that a model of another kind has; None where nothing has it."""
    try:
        kind = library.find(name).facts.kind
    except InvalidInput:
        return None
    called = wanted.called
    return InvalidInput(
        field, f"{field} is {name!r}, which is no {called}: it is {DESCRIPTIONS[kind]}"
    )
