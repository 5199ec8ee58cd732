"""The files of LoRAs: found by what requests call them, and bound to them by their SHA-256."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from limner import pools
from limner.domain.loras import Lora
from limner.domain.params import Generation
from limner.engine.batching.client import EngineClient
from limner.engine.batching.ticket import Ticket
from limner.engine.checkpoints.inspection import DESCRIPTIONS
from limner.errors import CheckpointError, InvalidInput, UnknownModel
from limner.models.entries import Entry
from limner.models.listing import Library

KIND, FIELD = "lora", "loras"


class LoraFiles:
    """Those of a library. Everything here may read files; for any thread.

    What a request was bound to is found again at once, also where the library's list is older.
    """

    def __init__(self, library: Library | None = None) -> None:
        self._library = library
        self._paths: dict[str, Path] = {}
        self._lock = threading.Lock()

    def bind(self, lines: Sequence[Generation]) -> tuple[Generation, ...]:
        """``lines`` with each LoRA's name and SHA-256.

        Raises:
            InvalidInput: of ``loras``, for one that is not there, may be several, or cannot be
                used; the sentence names it.
        """
        return tuple(
            line.model_copy(update={"loras": tuple(map(self._bound, line.loras))})
            if line.loras
            else line
            for line in lines
        )

    async def bound(self, lines: Sequence[Generation]) -> tuple[Generation, ...]:
        """The same beside an event loop, and at once where there are no LoRAs."""
        if not any(line.loras for line in lines):
            return tuple(lines)
        return await pools.MODELS.run(self.bind, lines)

    async def check(
        self, lines: Sequence[Generation], engine: EngineClient, model: str = "", vae: str = ""
    ) -> None:
        """Have the engine read the files of bound lines; raises for what it cannot draw with.

        ``model`` and ``vae`` as tickets name them.
        """
        for line in lines:
            if line.loras:
                await pools.MODELS.run(engine.check, Ticket("", line, "", model=model, vae=vae))

    def find(self, sha256: str) -> Path | None:
        """Where the file of this SHA-256 lies, or lay when it was bound; None: nobody knows."""
        with self._lock:
            known = self._paths.get(sha256)
        try:
            return known or self._entry(sha256).file
        except InvalidInput:
            return None

    def seek(self, loras: Sequence[Lora]) -> None:
        """Make the sums by which a receipt's files are found; in a server all are made in time.

        Files of their names come first. Raises ``InvalidInput`` for one that is not there.
        """
        for lora in loras:
            if self.find(lora.sha256) is None and not self._sought(lora):
                raise InvalidInput(
                    FIELD,
                    f"loras: no file is {lora.name} (SHA-256 {lora.sha256[:12]}...); "
                    "put it into a folder of models",
                )

    def _sought(self, lora: Lora) -> bool:
        if self._library is None:
            return False
        those = [e for e in self._library.entries() if e.facts.kind == KIND and e.sha256 is None]
        for entry in sorted(those, key=lambda e: e.name != lora.name):
            with suppress(CheckpointError):
                if self._library.identify(entry) == lora.sha256:
                    return True
        return False

    def find_any(self, sha256: str) -> Path | None:
        """The same of a model of any kind that the library has."""
        library = self._library
        return self.find(sha256) or (None if library is None else library.file(sha256))

    def _bound(self, lora: Lora) -> Lora:
        entry = self._entry(lora.sha256 or lora.name)
        if entry.facts.reason is not None:
            raise InvalidInput(FIELD, f"loras: {entry.name} cannot be used: {entry.facts.reason}")
        try:
            assert self._library is not None, "an entry is of a library"
            sha256 = self._library.identify(entry)
        except CheckpointError as error:
            raise InvalidInput(FIELD, f"loras: {error}") from error
        if lora.sha256 and sha256 != lora.sha256:
            raise InvalidInput(
                FIELD, f"loras: the file of SHA-256 {lora.sha256[:12]}... has changed"
            )
        with self._lock:
            self._paths[sha256] = entry.file
        return lora.model_copy(update={"sha256": sha256, "name": lora.name or entry.name})

    def _entry(self, name: str) -> Entry:
        if self._library is None:
            raise InvalidInput(FIELD, f"loras is {name!r}; this server has no library of models")
        with self._lock:
            known = self._paths.get(name)
        for entry in self._library.entries() if known else ():
            if entry.file == known:
                return entry
        try:
            return self._library.find(name, (KIND,), FIELD)
        except UnknownModel as unknown:
            raise _no_lora(self._library, name) or unknown from None


def _no_lora(library: Library, name: str) -> InvalidInput | None:
    """The error for a name that a model of another kind has; None where nothing has it."""
    try:
        kind = library.find(name).facts.kind
    except InvalidInput:
        return None
    return InvalidInput(FIELD, f"loras is {name!r}, which is no LoRA: it is {DESCRIPTIONS[kind]}")
