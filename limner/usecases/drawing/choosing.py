"""Which checkpoint draws: what a request names, among the models that this process has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from limner.domain.few_steps import Family
from limner.domain.model import Card, sendable, stored_sha256
from limner.domain.receipt import model_of, taken_alike
from limner.engine.checkpoints.inspection import LOADED
from limner.errors import (
    AmbiguousModel,
    InvalidInput,
    LimnerError,
    ModelNotAllowed,
)
from limner.models import taught
from limner.models.entries import Entry
from limner.models.facts import NO_VAE
from limner.models.listing import Library
from limner.store.turns import Pair
from limner.usecases.drawing.model_files import ModelFiles


@dataclass(frozen=True)
class Chosen:
    """A model that can draw a request.

    ``names``: all that it is called. ``model`` and ``vae`` are as an engine's tickets name them:
    empty for the engine's own, or the model's own.
    ``vae_path``: where a VAE lies that replaces the model's. ``few_steps``: see ``models.facts``;
    ``few_steps_by`` names what of it was taught so, where it is not the model.
    """

    card: Card
    names: frozenset[str]
    model: str = ""
    vae: str = ""
    vae_path: Path | None = None
    few_steps: Family | None = None
    few_steps_by: str = ""

    @property
    def pair(self) -> Pair:
        """As a stored request names it."""
        return self.card.stored_sha256, self.card.vae_sha256 or ""


class Expect(Protocol):
    """``engine.batching.client.EngineClient.expect_model``."""

    def __call__(self, model: str = "", vae: str = "") -> None: ...


class Models:
    """The engine's own model, and those of a library. Everything here may read files.

    ``own`` tells the former, None while it is loaded; ``expect`` raises for what the engine can
    never draw with; ``few_steps`` says over the files, by a model's name, how it was taught to
    draw in few steps, None for not at all. For any thread.
    """

    def __init__(
        self,
        own: Callable[[], Card | None],
        expect: Expect | None = None,
        library: Library | None = None,
        few_steps: Mapping[str, Family | None] | None = None,
    ) -> None:
        self._few_steps = {name.casefold(): few for name, few in (few_steps or {}).items()}
        self._own = own
        self._expect = expect
        self._files = ModelFiles(library)

    def own(self) -> Chosen | None:
        """What draws a request that names nothing; None while it is loaded."""
        model = self._own()
        if model is None:
            return None
        sums = (model.sha256, model.short_hash, model.source_sha256)
        names = (model.name, Path(model.path).stem, *sums)
        few = taught.of_path(Path(model.path))
        return self._told(Chosen(model, frozenset(filter(None, names)), few_steps=few))

    def choose(self, model: str = "", vae: str = "", loras: Sequence[str] = ()) -> Chosen | None:
        """What draws a request that names a ``model``, a ``vae`` and ``loras``; empty: what is the
        server's.

        Names and SHA-256s as ``Library.find`` takes them. None where the server's is not loaded.

        Raises:
            UnknownModel: of ``model`` or ``vae``, where the library has nothing of the name.
            InvalidInput: several have it, or what has it cannot draw here; the sentence says why.
        """
        found = self._chosen(model, vae, self.own())
        found = found and self._told(found)
        if found is not None and (quick := self.taught(loras)):
            found = replace(found, few_steps=quick[1], few_steps_by=f"LoRA {quick[0]}")
        if found is not None and (found.model or found.vae) and self._expect is not None:
            self._expect(found.model, found.vae)
        return found

    def taught(self, loras: Sequence[str]) -> tuple[str, Family] | None:
        """The first of these LoRAs that was taught to draw in few steps, and how."""
        for name in loras:
            with suppress(InvalidInput):  # which is said where it is bound
                entry = self._files.entry(name, ("lora",), "loras")
                called = [each.casefold() for each in (name, *sorted(entry.names))]
                said = next((each for each in called if each in self._few_steps), None)
                few = entry.facts.few_steps if said is None else self._few_steps[said]
                if few is not None:
                    return entry.name, few
        return None

    def recall(self, model_sha256: str | None, vae_sha256: str | None) -> Chosen | None:
        """The model for which a request was stored, if it is here.

        None for ``model_sha256``: the server's, whatever it is; ``vae_sha256``: as the server has.
        """
        sums = model_sha256, vae_sha256
        return self._recall(*sums, lambda one: all(map(_is, one.pair, sums)))

    def _recall(
        self, model_sha256: str | None, vae_sha256: str | None, fits: Callable[[Chosen], bool]
    ) -> Chosen | None:
        if (own := self.own()) is not None and fits(own):
            return own
        if model_sha256 is None or vae_sha256 is None:
            return None
        for way in self._ways(model_sha256, vae_sha256, own):
            with suppress(LimnerError):
                if (found := self._chosen(*way)) is not None and fits(found):
                    return found
        return None

    def _ways(
        self, model_sha256: str, vae_sha256: str, own: Chosen | None
    ) -> Iterator[tuple[str, str, Chosen | None]]:
        """The server's own with another VAE; files with the VAE that they bring, or another."""
        yield "", vae_sha256, own
        for entry in self._files.readings(model_sha256):
            yield entry.found.whole, "", None
            yield entry.found.whole, vae_sha256, None

    def of_receipt(self, record: Mapping[str, Any]) -> Chosen | None:
        """The model that a receipt names, if it is here; taken otherwise only if not taken so."""
        named = model_of(record)
        sums = str(named.get("sha256")), str(named.get("vae_sha256") or "")

        def alike(choice: Chosen) -> bool:
            return (choice.card.sha256, choice.pair[1]) == sums

        so = self._recall(*sums, lambda one: alike(one) and taken_alike(record, one.card))
        return so or self._recall(*sums, alike)

    def file_sha256(self, stored_sha256: str | None) -> str | None:
        """The SHA-256 of the file of a stored request's model, as far as it is known here.

        Looks at no file.
        """
        own = self._own()
        if own is not None and stored_sha256 == own.stored_sha256:
            return own.sha256
        listed = self._files.as_listed()
        said = (e for e in listed if e.facts.said and e.stored_sha256 == stored_sha256)
        return next((entry.sha256 for entry in said), stored_sha256)

    def served(self, wanted: Iterable[Pair]) -> list[Pair]:
        """Those of ``wanted`` with which this process can draw."""
        return [pair for pair in wanted if self.recall(*pair) is not None]

    def identify(self, record: Mapping[str, Any]) -> None:
        """Make the sums of those that a receipt may name, so that they are found by them.

        In a server all are made by and by; in the terminal nobody waits for that.
        """
        named = model_of(record)
        for entry in self._files.entries():
            alike = named.get("name") in (entry.found.stem, entry.name)
            if alike or (named.get("vae_sha256") and entry.facts.kind == "vae"):
                with suppress(InvalidInput):
                    self._files.identify(entry, "model")

    def permit(self, allowed: Sequence[str], choice: Chosen) -> None:
        """Raises ``ModelNotAllowed`` where a key's list of models lacks this one."""
        if not allowed or any(self._is_called(choice, name) for name in allowed):
            return
        raise ModelNotAllowed(
            f"This key may not draw with {choice.card.name}; it may with {', '.join(allowed)}: "
            "name one of these as model"
        )

    def nameable(self, allowed: Sequence[str] = ()) -> list[str]:
        """Names of models of the library that draw alone, of those ``allowed``, if not all."""
        entries = self._files.entries()
        alone = (e for e in entries if not (e.facts.reason or e.facts.needs_vae))
        usable = [e for e in alone if e.facts.kind in LOADED]
        return [e.name for e in usable if not allowed or not e.called.isdisjoint(allowed)]

    def allows(self, allowed: Sequence[str], name: str = "") -> bool:
        """Whether a key with this list may draw with the model of a name; the server's own: ""."""
        if not allowed:
            return True
        if name:
            with suppress(InvalidInput):
                return not self._files.entry(name, LOADED, "model").called.isdisjoint(allowed)
        own = self.own()
        return own is None or any(self._is_called(own, each) for each in allowed)

    def _told(self, choice: Chosen) -> Chosen:
        """The same with the operator's word on few steps, where there is one."""
        called = (name.casefold() for name in sorted(choice.names))
        name = next((each for each in called if each in self._few_steps), None)
        return choice if name is None else replace(choice, few_steps=self._few_steps[name])

    def _is_called(self, choice: Chosen, name: str) -> bool:
        if name in choice.names:
            return True
        try:
            entry = self._files.entry(name, LOADED, "model")
            same = entry.stored_sha256 == choice.card.stored_sha256
            return same or (not choice.model and entry.sha256 == choice.card.sha256)
        except LimnerError:
            return False

    def _chosen(self, model: str, vae: str, own: Chosen | None) -> Chosen | None:
        """As ``choose``, whatever the engine says to it."""
        if vae and model and (mine := self._brought(model, vae, own)):
            return mine
        other, sha256 = self._files.found(vae, ("vae",), "vae") if vae else (None, "")
        found = self._find(model, other, own) if model else own
        if found is None or other is None or found.vae:
            return found
        file = sendable(other.file.name)
        told = (*found.card.conversions, f"VAE replaced by {file}")
        card = replace(found.card, vae=file, vae_sha256=sha256, conversions=told)
        return replace(found, card=card, vae=sha256, vae_path=other.file)

    def _brought(self, model: str, vae: str, own: Chosen | None) -> Chosen | None:
        """The model, where this VAE is what it brings: one that lies beside may be no entry."""
        try:
            found = self._find(model, None, own)
        except InvalidInput:
            return None
        return found if vae == found.card.vae_sha256 else None

    def _find(self, name: str, vae: Entry | None, own: Chosen | None) -> Chosen:
        """The model of a name; the server's own where that has it and nothing else draws by it."""
        try:
            with_vae = vae is not None
            entry, sha256 = self._files.found(name, LOADED, "model", with_vae=with_vae)
        except AmbiguousModel:
            raise
        except InvalidInput:  # nothing has it, or a pickle, a LoRA, a damaged file
            if own is None or name not in own.names:
                raise
            return own
        stored, names = stored_sha256(sha256, entry.facts.said), entry.names
        if own is not None and sha256 == own.card.sha256 and _alike(entry, own.card):
            few = entry.facts.few_steps or own.few_steps
            return replace(own, names=own.names | names, few_steps=few)
        if own is not None and name in own.names:
            if entry.source_sha256 == own.card.sha256:  # what was imported from it has its names
                return own
            raise AmbiguousModel(
                "model",
                f"model is {name!r}, which may be the server's own {own.card.name} or "
                f"{entry.found.whole}; send its SHA-256",
            )
        if vae is None and entry.facts.needs_vae:
            raise InvalidInput("model", f"model is {name!r}, which cannot draw alone. {NO_VAE}")
        other = vae or self._files.beside(entry)
        card = self._files.card(entry, other, beside=vae is None)
        names |= {card.name, sha256}
        if other is None:
            return Chosen(card, names, stored, few_steps=entry.facts.few_steps)
        vae_sha256 = self._files.identify(other, "vae")
        return Chosen(card, names, stored, vae_sha256, other.file, entry.facts.few_steps)


def _alike(entry: Entry, own: Card) -> bool:
    """Whether the server's own is what an equal file is: what is said over it goes over this one,
    where it is the same file, or nothing is said of it."""
    said, vae = entry.facts.said, entry.facts.vae_beside
    return entry.file == Path(own.path) or (said in ("", own.said) and vae in (None, own.vae))


def _is(mine: str | None, stored: str | None) -> bool:
    return stored in (None, mine)
