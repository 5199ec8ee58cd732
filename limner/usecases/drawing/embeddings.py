"""The embeddings that prompts name: found in a library, and bound by their files' SHA-256s."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from limner.domain import regions
from limner.domain.chunks import Remembered, encoded
from limner.domain.embeddings import EMBEDDINGS_MAX, PREFIX, Embedding, Names
from limner.domain.params import Generation
from limner.domain.passes import passes_of
from limner.domain.prompt import Prompt, parse
from limner.engine.checkpoints.adapters import bundled, embedding_of, rows
from limner.engine.checkpoints.containers import read_header
from limner.errors import CheckpointError, InvalidInput
from limner.models.entries import Entry
from limner.models.facts import EMBEDDING
from limner.models.listing import Library
from limner.usecases.prompting.explain import tokenize

FIELD = "prompt"
PATIENCE = 5
"""How many times as old the library's list may be as for who names a model: all prompts ask."""


@dataclass(frozen=True)
class _File:
    """What a text names: a file of the library."""

    text: str
    entry: Entry


Things = Sequence[_File | Embedding]
Named = dict[tuple[int, ...], Things]


class Words:
    """The embeddings of a library by the tokens that name them. It reads files; for any thread."""

    def __init__(self, library: Library | None) -> None:
        self._library = library
        self._known: tuple[tuple[Entry, ...], dict[tuple[int, ...], list[_File]]] = (), {}

    def bind(self, line: Generation, brought: Sequence[Embedding] = ()) -> Generation:
        """``line`` with the embeddings that its prompts name, where nobody has looked for them.

        ``brought`` are those that its LoRAs bring, which come before others of their names.

        Raises:
            InvalidInput: of ``prompt``, for a name that several have, for ``embedding:name`` of
                what cannot be used, and for too many; the sentence names it.
        """
        if line.embeddings is not None:
            return line
        named: Named = {**self._files()}
        named |= {tokens: [each] for each in brought for tokens in _both(each.name)}
        those = _named(line, Names(named.items())) if named else ()
        found = list(dict.fromkeys(map(self._chosen, those)))
        if len(found) > EMBEDDINGS_MAX:
            raise InvalidInput(
                FIELD, f"{FIELD} names {len(found)} embeddings; at most {EMBEDDINGS_MAX} are used"
            )
        return line.model_copy(update={"embeddings": tuple(found)})

    def _files(self) -> dict[tuple[int, ...], list[_File]]:
        entries = () if self._library is None else self._library.entries(PATIENCE)
        if self._known[0] is not entries:
            self._known = entries, _by_tokens(entries)
        return self._known[1]

    def _chosen(self, those: Things) -> Embedding:
        """Of what has one name; the satchel gives way to all, and a pickle to what is none."""
        if isinstance(those[0], Embedding):
            return those[0]
        files = [each for each in those if isinstance(each, _File)]
        usable = [each for each in files if each.entry.facts.reason is None]
        usable = [each for each in usable if not each.entry.found.place.yields] or usable
        usable = [each for each in usable if not each.entry.facts.gives_way] or usable
        if not usable:
            entry = files[0].entry
            raise InvalidInput(
                FIELD, f"{FIELD}: the embedding {entry.name} cannot be used: {entry.facts.reason}"
            )
        made = {each.entry.file: self._bound(each) for each in usable}
        if len({each.sha256 for each in made.values()}) > 1:
            places = " and ".join(each.entry.found.whole for each in usable)
            raise InvalidInput(
                FIELD,
                f"{FIELD} names the embedding {usable[0].text!r}, which may be {places}; write "
                f"{PREFIX} and one of their paths",
            )
        return next(iter(made.values()))

    def _bound(self, file: _File) -> Embedding:
        assert self._library is not None, "an entry is of a library"
        try:
            sha256 = self._library.identify(file.entry)
        except CheckpointError as error:
            raise InvalidInput(FIELD, f"{FIELD}: {error}") from error
        return Embedding(name=file.text, sha256=sha256, vectors=file.entry.facts.vectors or 1)


def brought(sha256: str, path: Path) -> list[Embedding]:
    """The embeddings that a LoRA has in its file. Raises ``CheckpointError`` for what is none."""
    header = read_header(path)
    return [
        Embedding(name=name, sha256=sha256, vectors=rows(embedding_of(header, name)))
        for name in bundled(header)
    ]


def _by_tokens(entries: Iterable[Entry]) -> dict[tuple[int, ...], list[_File]]:
    """Plain names are those of files that can be used, for a word may be meant as a word."""
    found: dict[tuple[int, ...], list[_File]] = {}
    for entry in entries:
        if entry.facts.kind != EMBEDDING:
            continue
        for text in dict.fromkeys((entry.found.stem, entry.found.inner, entry.found.shown)):
            plain, named = _both(text)
            found.setdefault(named, []).append(_File(_clean(text), entry))
            if text == entry.found.stem and entry.facts.reason is None:
                found.setdefault(plain, []).append(_File(_clean(text), entry))
    return found


def _both(name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens of a name by itself and behind ``embedding:``."""
    plain, named = tokenize([_clean(name), f"{PREFIX}{_clean(name)}"])
    return tuple(plain), tuple(named)


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()[:500]


def _named(line: Generation, names: Names[Things]) -> Iterator[Things]:
    """What the prompts of a line name at some step of its passes."""
    remembered = Remembered(tokenize)
    prompts = (prompt for each in passes_of(line) for prompt in _prompts(each))
    branches = (b for prompt in prompts for entry in prompt.entries for b in entry.branches)
    for spans in dict.fromkeys(branch.spans for branch in branches):
        for tokens in encoded(spans, remembered):
            yield from (those for _, those in names.found(tokens))


def _prompts(line: Generation) -> tuple[Prompt, ...]:
    steps = max(1, line.steps_run)
    own = parse(line.prompt, steps), parse(line.negative_prompt, steps, negative=True)
    return (*own, *regions.parsed(line.regions, steps).values())
