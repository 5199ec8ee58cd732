"""A stored request is drawn with the model it was accepted for, and with no other.

Its checkpoint's SHA-256 and its VAE's are stored with it; a process claims what it has these of.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from limner import pools
from limner.domain import licences
from limner.domain.model import Card
from limner.domain.params import Generation
from limner.errors import LicenceNotAccepted, Unavailable
from limner.store import jobs, keys, models
from limner.store.jobs import Job
from limner.store.keys import Key
from limner.store.sql import now
from limner.store.turns import Pair
from limner.usecases.drawing import permits, settlement
from limner.usecases.drawing.choosing import Chosen
from limner.usecases.drawing.running import lines_of
from limner.usecases.drawing.worker import Worker

log = logging.getLogger(__name__)

MARK_S = 60.0
UNSERVED_S = 24 * 3600.0
# Servers that are started together after a long rest load for a while: nobody judges sooner.
SETTLING_S = 300.0


def check_licence(conn: Connection, key_id: str, model: Card) -> None:
    """Raises ``LicenceNotAccepted`` for a key that has not accepted the model's licence."""
    version = licences.find(model.licence).version
    if model.licence_needs_acceptance and not keys.has_accepted(
        conn, key_id, model.licence, version
    ):
        raise LicenceNotAccepted(
            f"The model {model.name} is under the licence {model.licence}, which this key has not "
            f"accepted; read it at /license?{model.query} and accept it by "
            f"POST /api/license/accept?{model.query}"
        )


async def served(worker: Worker) -> list[Pair]:
    """The models that are waited for and that this process can draw with."""
    wanted = await worker.read(models.wanted)
    return await pools.MODELS.run(worker.models.served, wanted)


async def check(worker: Worker, job: Job) -> None:
    """Raises where a request's key may not draw any more with what it was accepted for."""
    choice = await worker.chosen(job)
    await worker.read(check_licence, job.key_id, choice.card)
    key = await worker.read(keys.get, job.key_id)
    await permit(worker, key, lines_of(job), choice)


async def permit(
    worker: Worker, key: Key, lines: Sequence[Generation], choice: Chosen | None
) -> Card | None:
    """The card of ``choice``. Raises ``ModelNotAllowed``, also for adapters of bound ``lines``."""
    if key.adapters:
        await pools.MODELS.run(permits.permit, worker.models_library, key.adapters, lines)
    if choice is None:
        return None
    await pools.MODELS.run(worker.models.permit, key.models, choice)
    return choice.card


def check_lines(model: Card | None, lines: Sequence[Generation]) -> None:
    """Raises ``InvalidInput`` for what ``model`` cannot draw, told by its card."""
    if model is not None and model.zero_snr:
        for line in lines:
            line.method.check_zero_snr()


def told(model: Card | None, lines: Sequence[Generation]) -> tuple[str, ...]:
    """What ``model`` draws otherwise than ``lines`` say, in sentences."""
    unmasked = any(line.source is None or line.source.mask_sha256 is None for line in lines)
    if model is None or model.kind != "sd1-inpainting" or not unmasked:
        return ()
    return (f"{model.name} is an inpainting model; without a mask it draws with a blank one",)


async def watch(worker: Worker) -> None:
    """Write down every minute what this process can serve; give up what nobody has served."""
    ready_at: float | None = None
    while True:
        status = worker.engine.status()
        if status.ready and status.model is not None:
            ready_at = time.monotonic() if ready_at is None else ready_at
            settled = time.monotonic() - ready_at >= SETTLING_S
            try:
                await worker.write(_serve, await _served(worker))
                if settled:
                    await give_up_forsaken(worker)
            except Exception:
                log.exception("the served model could not be written down")
        await asyncio.sleep(1.0 if ready_at is None else MARK_S)


async def _served(worker: Worker) -> dict[str, str]:
    """Names of the server's own model and of those that are waited for, by SHA-256; and VAEs'."""
    wanted = await worker.read(models.wanted)
    found = await pools.MODELS.run(lambda: [worker.models.recall(*pair) for pair in wanted])
    cards = [choice.card for choice in (worker.models.own(), *found) if choice is not None]
    vaes = {card.vae_sha256: card.vae for card in cards if card.vae_sha256}
    return {card.stored_sha256: card.name for card in cards} | vaes


def _serve(conn: Connection, served: Mapping[str, str]) -> None:
    for sha256, name in sorted(served.items()):
        models.serve(conn, sha256, name)


async def give_up_forsaken(worker: Worker) -> int:
    """Fail queued requests whose model nobody has served for ``UNSERVED_S``; how many."""
    found = await worker.read(_forsaken)
    for request_id in found:
        await worker.write(_give_up, request_id)
    if found:
        log.warning("gave up %d requests: nobody serves their model any more", len(found))
    return len(found)


def _forsaken(conn: Connection) -> list[str]:
    return models.forsaken(conn, now(conn) - UNSERVED_S)


def _give_up(conn: Connection, request_id: str) -> None:
    job = jobs.find(conn, request_id, lock=True)
    if job is None or job.status != "QUEUED":
        return  # somebody has it after all
    error = Unavailable(
        f"The model {job.model} (stored as {str(job.model_sha256)[:12]}...), for which this was "
        f"accepted, has not been served for {UNSERVED_S / 3600:g} hours; nothing was billed"
    )
    settlement.abandon(conn, request_id, "FAILED", error)
