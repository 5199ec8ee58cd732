"""One decoding process as the server holds it: started, asked, bounded, and ended."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

import limner
from limner.errors import DecoderFault, InvalidInput, TooCostly, Unavailable
from limner.imaging.files import Pixels
from limner.imaging.tasks import Result

HEAD_MAX = 16 * 2**20  # bytes of what is told of a picture
ARRAYS_MAX = 64 * 2**20
_NEEDED = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "LANG", "LC_ALL")
WAIT_FACTOR = 12  # a processor shared by this many still gives a file its seconds


@dataclass(frozen=True)
class Limits:
    """What decoding one file may take: seconds of processor time, MiB of memory."""

    seconds: float = 10.0
    mebibytes: int = 640


@dataclass(frozen=True)
class Ask:
    """A task, the file it is about (base64 where ``data`` is text), its field and its options."""

    task: str
    field: str
    data: bytes | str
    options: Mapping[str, Any]


class Process:
    """A process that was started and waits; ``run`` asks it, from one thread at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._killed = False
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "limner.imaging.worker"),
                    *(str(theirs.fileno()), str(limits.seconds), str(limits.mebibytes)),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=_environment(),
            )

    @property
    def id(self) -> int:
        """Its number in the operating system."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not self._killed and self._process.poll() is None

    def run(self, ask: Ask) -> Result:
        """The answer. Blocks.

        Raises ``InvalidInput`` for what the file's sender can mend, ``TooCostly`` for a file
        beyond the limits, ``DecoderFault`` when the process died, ``Unavailable`` when it did not
        get to the processor.
        """
        try:
            self._send(ask)
            if not self._connection.poll(self._limits.seconds * WAIT_FACTOR):
                self.kill()
                raise Unavailable("The server is too busy to decode pictures; try again", 10)
            told = json.loads(self._connection.recv_bytes(HEAD_MAX))
            arrays = _receive(self._connection, told.pop("shapes"))
        except (EOFError, OSError, ValueError) as error:
            raise self._died(ask.field) from error
        return self._judged(ask.field, told, arrays)

    def kill(self) -> None:
        """End it at once, whatever it does. From any thread."""
        self._killed = True
        self._process.kill()

    def close(self) -> None:
        """End it, and wait until it has."""
        self._connection.close()
        self.kill()
        self._process.wait()

    def _send(self, ask: Ask) -> None:
        text = isinstance(ask.data, str)
        head = {"task": ask.task, "field": ask.field, "text": text, "options": dict(ask.options)}
        self._connection.send_bytes(json.dumps(head).encode())
        data = ask.data.encode("utf-8", "replace") if isinstance(ask.data, str) else ask.data
        self._connection.send_bytes(data)

    def _died(self, field: str) -> Exception:
        self.kill()
        code = self._process.wait()
        if code == -signal.SIGPROF:
            return TooCostly(
                field,
                f"{field} takes more than {self._limits.seconds:g} seconds of processor time to "
                "decode, the limit; save it anew in a plain form",
            )
        return DecoderFault(f"The process that decoded {field} ended with status {code}")

    def _judged(self, field: str, told: dict[str, Any], arrays: tuple[Pixels, ...]) -> Result:
        if "refused" in told:
            raise InvalidInput(*told["refused"])
        if "memory" in told:
            raise TooCostly(
                field,
                f"{field} takes more than {self._limits.mebibytes} MiB of memory to decode, the "
                "limit; make it smaller",
            )
        if "fault" in told:
            raise DecoderFault(f"Decoding {field} failed") from RuntimeError(told["fault"])
        return Result(arrays, told["told"])


def _environment() -> dict[str, str]:
    """What Python needs and nothing of what the server was told; our own package comes first.

    One thread: more would only need address space. What a picture took goes back to the system
    when it is freed; else a process holds the largest one's memory, in pieces, for good.
    """
    here = str(Path(limner.__file__).parents[1])
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH", ""))))
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    memory = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
    needed = {name: os.environ[name] for name in _NEEDED if name in os.environ}
    return {**needed, **threads, **memory, "PYTHONPATH": path}


def _receive(connection: Connection, shapes: list[list[int]]) -> tuple[Pixels, ...]:
    """The arrays that follow; each owns its bytes. Raises ``ValueError`` for absurd shapes."""
    if sum(math.prod(shape) for shape in shapes) > ARRAYS_MAX:
        raise ValueError("more than a task ever answers")
    arrays = tuple(np.empty(shape, np.uint8) for shape in shapes)
    for array in arrays:
        connection.recv_bytes_into(array.data.cast("B"))
    return arrays
