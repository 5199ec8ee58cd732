"""A thread that makes the SHA-256s that are not known yet, while there is nothing else to do."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable

from limner.errors import CheckpointError
from limner.models.entries import Entry
from limner.models.facts import UNREADABLE
from limner.models.listing import Library

LORA = "lora"

log = logging.getLogger(__name__)

_REST_S = 60.0  # between two looks for what is new
_BUSY_S = 0.5  # between two looks whether there is nothing else to do
_NICEST = 19


class Hashing:
    """Identifies the models of ``library``, one after the other, whenever ``idle`` says yes.

    What fails is left alone until it changes. It asks before each file, not within one.
    """

    def __init__(self, library: Library, idle: Callable[[], bool]) -> None:
        self._library = library
        self._idle = idle
        self._failed: set[tuple[str, str]] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hashing", daemon=True)

    def start(self) -> None:
        """Begin; ends with the process at the latest."""
        self._thread.start()

    def close(self) -> None:
        """Begin no other file, and keep what was made."""
        self._stop.set()
        self._library.save()

    def round(self) -> None:
        """Make every sum that is not known, in the order of the list."""
        if not self._may_go_on():
            return
        for entry in self._library.entries():
            if self._is_wanted(entry):
                if not self._may_go_on():
                    return
                self._identify(entry)
        self._library.save()

    def _run(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICEST)  # of this thread
        while not self._stop.is_set():
            try:
                self.round()
            except Exception:  # the next round may find the folders as they should be
                log.warning("models cannot be identified", exc_info=True)
            self._stop.wait(_REST_S)

    def _is_wanted(self, entry: Entry) -> bool:
        short = entry.facts.kind != LORA or entry.short_hash is not None
        known = (entry.sha256 is not None and short) or entry.facts.kind == UNREADABLE
        return not known and (str(entry.file), entry.found.stamp) not in self._failed

    def _may_go_on(self) -> bool:
        """Wait until nothing else is to do; no when it shall end."""
        while not self._idle():
            if self._stop.wait(_BUSY_S):
                return False
        return not self._stop.is_set()

    def _identify(self, entry: Entry) -> None:
        try:
            self._library.identify(entry)
            if entry.facts.kind == LORA:
                self._library.short_hash(entry)
        except CheckpointError as error:
            self._failed.add((str(entry.file), entry.found.stamp))
            log.info("model cannot be identified", extra={"reason": str(error)})
