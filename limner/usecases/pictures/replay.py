"""Draw a receipt again, and say whether the picture is the same to the pixel."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from limner import imaging, pools
from limner.domain.model import Card
from limner.domain.receipt import canonical, from_receipt, method_change, prediction_of, reading_of
from limner.engine.batching.ticket import Pixels
from limner.errors import InvalidInput, LimnerError
from limner.store import images
from limner.store.keys import Key
from limner.usecases.drawing import sources
from limner.usecases.drawing.choosing import Chosen
from limner.usecases.drawing.orders import Order, Outcome
from limner.usecases.drawing.pictures import versions
from limner.usecases.drawing.worker import Worker
from limner.usecases.pictures.gallery import Gallery

log = logging.getLogger(__name__)

SURFACE = "replay"


@dataclass(frozen=True)
class Comparison:
    """How far two pictures are apart; ``largest_difference`` is in 255ths of a colour.

    Both numbers are None where the first picture is known by its digest alone.
    """

    identical: bool
    of: int
    different_pixels: int | None = None
    largest_difference: int | None = None

    def sentence(self) -> str:
        """For people."""
        if self.identical:
            return f"identical, 0 of {self.of:,} pixels differ"
        if self.different_pixels is None:
            return f"not identical; the first picture's {self.of:,} pixels are not here to compare"
        return (
            f"{self.different_pixels:,} of {self.of:,} pixels differ, "
            f"by {self.largest_difference} of 255 at most"
        )


@dataclass(frozen=True)
class Replayed:
    """A replay's outcome; ``changed`` says what is not as it was when the receipt was made."""

    outcome: Outcome
    comparison: Comparison
    changed: tuple[str, ...]


class Replay:
    """Replays receipts for callers of a server; each is a request like any other, and billed."""

    def __init__(self, worker: Worker, gallery: Gallery) -> None:
        self._worker = worker
        self._gallery = gallery

    async def order(self, caller: Key, record: Mapping[str, Any]) -> Order:
        """What draws ``record`` again.

        Raises ``InvalidInput`` for what is no receipt of the loaded model, and ``Gone`` when the
        pictures it starts from are no longer kept.
        """
        generation = from_receipt(record)
        choice = await self._choice(record)
        pixels = await self._worker.in_store(
            sources.of_account,
            self._worker.database,
            self._worker.files,
            caller.account_id,
            generation,
        )
        self._worker.budget.keep(caller.id, *pixels.values())
        return Order(
            lines=(generation,),
            surface=SURFACE,
            slug=self._worker.settings.slug,
            body_sha256=hashlib.sha256(canonical(record).encode()).hexdigest(),
            pixels=pixels,
            choice=choice,
        )

    async def compare(self, caller: Key, record: Mapping[str, Any], outcome: Outcome) -> Replayed:
        """What was drawn, held against ``record`` and the caller's picture of it, if one is kept.

        It has been billed by now: a first picture that cannot be read is told, and no error.
        """
        second = await self._worker.in_encoder(imaging.read_image, outcome.pictures[0].png)
        compared = judge(record, None, second)
        if not compared.identical:
            compared = judge(record, await self._first(caller, record), second)
        told = changed(record, outcome.pictures[0].receipt, compared)
        return Replayed(outcome, compared, told)

    async def _choice(self, record: Mapping[str, Any]) -> Chosen:
        """The model of a receipt. Raises ``InvalidInput`` where this server has it not."""
        own = self._worker.engine.status().loaded()
        found = await pools.MODELS.run(self._worker.models.of_receipt, record)
        check_model(record, own if found is None else found.card)
        assert found is not None, "the server's own model is found by its receipts"
        return found

    async def _first(self, caller: Key, record: Mapping[str, Any]) -> Pixels | None:
        """The stored picture that ``record`` describes, by the digest of its pixels."""
        sha256 = str(record.get("rgb_sha256", ""))
        try:
            found = await self._worker.read(images.find_by_pixels, sha256, caller.account_id)
            if found is None:
                return None
            png = (await self._gallery.picture(caller, found)).png
            return await self._worker.in_encoder(imaging.read_image, png)
        except LimnerError as error:  # deleted meanwhile, damaged, or the database is away
            log.info("a replay has no first picture to compare with: %s", error)
            return None


def judge(record: Mapping[str, Any], first: Pixels | None, second: Pixels) -> Comparison:
    """``second`` against the receipt's own digest, and against ``first`` where it is at hand.

    ``first`` counts only when it has the receipt's digest: a JPEG's pixels are not the drawn ones.
    """
    of = second.shape[0] * second.shape[1]
    wanted = record.get("rgb_sha256")
    if _digest(second) == wanted:
        return Comparison(True, of, 0, 0)
    if first is None or _digest(first) != wanted or first.shape != second.shape:
        return Comparison(False, of)
    return compare(first, second)


def compare(first: Pixels, second: Pixels) -> Comparison:
    """Two RGB pictures (height, width, 3) of one size, pixel by pixel."""
    apart = np.abs(first.astype(np.int16) - second.astype(np.int16)).max(axis=2)
    different = int(np.count_nonzero(apart))
    return Comparison(different == 0, apart.size, different, int(apart.max()))


def check_model(record: Mapping[str, Any], model: Card) -> None:
    """Raises ``InvalidInput`` when another checkpoint drew what ``record`` describes, or the same
    taken to predict otherwise."""
    named = _part(record, "model")
    mine = (model.sha256, model.vae_sha256)
    if (named.get("sha256"), named.get("vae_sha256")) != mine:
        raise InvalidInput(
            "receipt",
            f"receipt: drawn by {named.get('name')} ({_shown(named)}); loaded is {model.name} "
            f"({_shown({'sha256': model.sha256, 'vae_sha256': model.vae_sha256})}); "
            "put the former into a folder of models, or load it by the settings model and vae",
        )
    then, now = prediction_of(record), (model.prediction, model.zero_snr)
    if then != now:
        raise InvalidInput(
            "receipt",
            f"receipt: drawn with {model.name} taken to be {_predicting(*then)}; it is loaded as "
            f"{_predicting(*now)}; {_way_out(model, 'prediction and zero_snr')}",
        )
    read, reads = reading_of(record), (model.text_encoder_sha256, model.clip_positions)
    if read != reads:
        raise InvalidInput(
            "receipt",
            f"receipt: prompts were read with {_reading(*read)}; {model.name} is loaded with "
            f"{_reading(*reads)}; {_way_out(model, 'text_encoder and clip_positions')}",
        )


def _way_out(model: Card, settings: str) -> str:
    plain = "if its file alone is read so, put that into a folder of models; otherwise "
    return f"{plain if model.said else ''}change the settings {settings}"


def _predicting(prediction: str, zero_snr: bool) -> str:
    return f"{prediction} with{'' if zero_snr else 'out'} zero terminal SNR"


def _reading(text_encoder: str | None, positions: str) -> str:
    whose = f"text encoder {text_encoder[:12]}" if text_encoder else "its own text encoder"
    return f"{whose}, positions {positions}"


def changed(
    record: Mapping[str, Any], now: Mapping[str, Any], compared: Comparison
) -> tuple[str, ...]:
    """What differs from when the receipt was made and may explain a difference.

    ``now`` is the receipt of the replay. Where pixels differ there is always something to say.
    """
    told = [*_versions_changed(record), *_machine_changed(record, _part(now, "machine"))]
    then, dtype = (_part(each, "drawing").get("dtype") for each in (record, now))
    if then != dtype:
        told.append(f"numbers were {then}, are {dtype}")
    method = method_change(record)
    if method is not None:
        told.append(method)
    if not compared.identical and not told:
        told.append(_unexplained(record))
    return tuple(told)


def _versions_changed(record: Mapping[str, Any]) -> list[str]:
    noted = _part(record, "versions")
    return [
        f"{name} was {noted.get(name)}, is {version}"
        for name, version in versions().items()
        if noted.get(name) != version
    ]


def _machine_changed(record: Mapping[str, Any], machine: Mapping[str, Any]) -> list[str]:
    """Of an older receipt, which names no machine, nothing is said."""
    noted = _part(record, "machine")
    return [
        f"{name} was {noted[name]}, is {now}"
        for name, now in machine.items()
        if name in noted and noted[name] != now
    ]


def _unexplained(record: Mapping[str, Any]) -> str:
    if not _part(record, "machine"):
        return (
            "nothing that the receipt names; it is an older one, which names neither processor "
            "nor threads"
        )
    if _part(record, "drawing").get("batch_mode") != "exact":
        return (
            "nothing that the receipt names; the picture shared forward passes, in which company "
            "can change the rounding of a large model (exact draws it alone)"
        )
    return "nothing that the receipt names"


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = record.get(name)
    return part if isinstance(part, Mapping) else {}


def _digest(pixels: Pixels) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _shown(named: Mapping[str, Any]) -> str:
    vae = named.get("vae_sha256")
    return f"sha256 {str(named.get('sha256'))[:12]}" + (f", VAE {str(vae)[:12]}" if vae else "")
