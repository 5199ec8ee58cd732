"""The lease of this process: kept alive, and used to find what the dead have left."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection

from limner.errors import DatabaseUnavailable
from limner.store import jobs, leases
from limner.store.db import Database
from limner.store.sql import now
from limner.usecases.drawing import settlement

log = logging.getLogger(__name__)

RENEWALS = 5
UNSEEN_S = 60.0


class Lease:
    """Renews the lease on a thread of its own, so that a busy event loop cannot lose it.

    At each renewal it also gives back the holds of dead processes, and of requests which this
    process holds but, by ``running``, does not work on (their settlement failed). ``on_lost`` is
    called, on the thread, when the lease ended before it was renewed: the work goes to others.
    """

    def __init__(
        self,
        database: Database,
        ttl_s: float,
        running: Callable[[], Collection[str]],
        on_lost: Callable[[], None],
    ) -> None:
        self._database = database
        self._ttl_s = ttl_s
        self._running = running
        self._on_lost = on_lost
        self._unseen: dict[str, float] = {}  # carried, and not worked on since
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, name="limner-lease", daemon=True)
        self._id: str | None = None

    @property
    def id(self) -> str:
        """The lease. Raises ``DatabaseUnavailable`` between the loss of one and the next."""
        if self._id is None:
            raise DatabaseUnavailable("The database did not answer for long; try again")
        return self._id

    def start(self) -> None:
        """Open the lease, and recover what earlier processes left."""
        self._open()
        self.recover()
        self._thread.start()

    def close(self) -> None:
        """End the lease; whatever it still carries is given back."""
        self._stop.set()
        self._thread.join()
        if self._id is not None:
            with self._database.begin() as conn:
                leases.close(conn, self._id)
        self.recover()

    def recover(self) -> None:
        """Give back the holds whose process is gone."""
        with self._database.begin() as conn:
            leases.close_ended(conn)
            moment = now(conn)
            leases.bound(conn, moment)
            leases.forget(conn, moment)
            lost = leases.dead_holds(conn, moment)
        for hold_id in lost:
            with self._database.begin() as conn:
                settlement.recover(conn, hold_id)
        if lost:
            log.warning("gave back %d holds of processes that are gone", len(lost))

    def _open(self) -> None:
        with self._database.begin() as conn:
            opened = leases.open(conn, ttl_s=self._ttl_s)
        self._id = opened  # only now is it there for others to see

    def _main(self) -> None:
        while not self._stop.wait(self._ttl_s / RENEWALS):
            try:
                self._tick()
            except Exception:
                log.exception("the lease could not be renewed")

    def _tick(self) -> None:
        if self._id is not None:
            with self._database.begin() as conn:
                alive = leases.renew(conn, self._id, ttl_s=self._ttl_s)
            if not alive:
                log.error("this process lost its lease; what it was drawing is not billed")
                self._id = None
                self._on_lost()
        if self._id is None:
            self._open()
        self.recover()
        self._forsake()

    def _forsake(self) -> None:
        with self._database.read() as conn:
            held = jobs.carried_by(conn, self.id)
        moment = time.monotonic()
        unseen = set(held) - set(self._running())
        self._unseen = {id: self._unseen.get(id, moment) for id in unseen}
        for request_id, since in self._unseen.items():
            if moment - since >= UNSEEN_S:
                with self._database.begin() as conn:
                    settlement.forsake(conn, request_id, self.id)
