"""Maps for controls that networks of the library make of pictures: depth and pose, free of charge.

They run on the processor, one map at a time in a server, beside the drawing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from limner import pools
from limner.engine.batching.ticket import Pixels
from limner.engine.mapping.networks import MAKERS, Maker, Networks
from limner.engine.onnx import files
from limner.errors import CheckpointError, InvalidInput, UnknownModel
from limner.models.entries import Entry
from limner.models.listing import Library
from limner.usecases.drawing.adapters import AdapterFiles, Kinds

__all__ = ["MAKERS", "Chosen", "Preprocessing"]

KINDS = Kinds(tuple(MAKERS), "network of depth or pose")
_POOL = pools.Pool("limner-maps", 1, 1)


@dataclass(frozen=True)
class Chosen:
    """A network by its name and its file's SHA-256; ``kind`` is a key of ``MAKERS``."""

    name: str
    sha256: str
    kind: str

    @property
    def maker(self) -> Maker:
        """What it makes, and its options."""
        return MAKERS[self.kind]


class Preprocessing:
    """The networks of a library; without one there are none."""

    def __init__(self, library: Library | None = None) -> None:
        self._library = library
        self._files = AdapterFiles(library)
        self._networks = Networks(lambda sha256: self._files.find(sha256) or _gone(sha256))

    def listed(self) -> list[Entry]:
        """Those that can be named, the shortest name first. It may read files."""
        entries = self._library.entries() if self._library and files.available() else ()
        usable = [e for e in entries if e.facts.kind in MAKERS and e.facts.reason is None]
        return sorted(usable, key=lambda e: (len(e.name), e.name))

    async def choose(self, name: str, field: str) -> Chosen:
        """The network of a name or SHA-256. Raises ``InvalidInput`` of ``field``."""
        return await pools.MODELS.run(self._choose, name, field)

    async def names(self) -> dict[str, str]:
        """The names of networks by themselves, and of each kind the first one's by the kind."""
        those = await pools.MODELS.run(self.listed)
        first = {each.facts.kind: each.name for each in reversed(those)}
        return {each.name: each.name for each in those} | first

    async def make(
        self, chosen: Chosen, pixels: Pixels, options: Mapping[str, float], field: str
    ) -> Pixels:
        """The map of RGB ``pixels`` (h, w, 3), as large.

        Raises ``InvalidInput`` of ``field`` for a file that is gone or cannot be run.
        """
        return await _POOL.run(self._make, chosen, pixels, options, field)

    def _choose(self, name: str, field: str) -> Chosen:
        try:
            entry, sha256 = self._files.file(field, name, KINDS)
        except UnknownModel as unknown:
            raise InvalidInput(
                field, f"{unknown}; built-in ones: GET /api/preprocessors"
            ) from unknown
        return Chosen(entry.name, sha256, entry.facts.kind)

    def _make(
        self, chosen: Chosen, pixels: Pixels, options: Mapping[str, float], field: str
    ) -> Pixels:
        try:
            return self._networks.get(chosen).make(pixels, options)
        except CheckpointError as error:
            raise InvalidInput(field, f"{field}: {error}") from error
        except InvalidInput as error:
            sentence = str(error).removeprefix(f"{error.field}: ")
            raise InvalidInput(field, f"{field}: {sentence}") from error


def _gone(sha256: str) -> Path:
    raise CheckpointError(f"the file of SHA-256 {sha256[:12]}... is gone.")
