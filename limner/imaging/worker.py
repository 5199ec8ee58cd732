"""The process that decodes: ``python -m limner.imaging.worker SOCKET SECONDS MIB``.

It answers one message after another on an inherited socket until that is closed. Nothing but JSON
and raw bytes goes back, so that a decoder that was taken over could not make the server run
anything. The kernel ends it where one file takes more than its seconds of processor time, whatever
code is running then; memory beyond its bound is refused by the kernel, too.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from limner.errors import InvalidInput
from limner.imaging.base64 import parse_base64
from limner.imaging.tasks import TASKS, Result


def main(socket: int, seconds: float, mebibytes: int) -> None:
    """Answer until the other end is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):  # meant for the server, which ends us
        signal.signal(number, signal.SIG_IGN)
    _bound_memory(mebibytes)
    with Connection(socket) as connection:
        while True:
            try:
                asked, data = json.loads(connection.recv_bytes()), connection.recv_bytes()
            except EOFError:
                return
            signal.setitimer(signal.ITIMER_PROF, seconds)
            told, result = _answer(asked, data)
            signal.setitimer(signal.ITIMER_PROF, 0)
            _send(connection, told, result)


def _bound_memory(mebibytes: int) -> None:
    """At most so much more than is mapped now; where ``/proc`` is missing, do nothing."""
    table = Path("/proc/self/statm")
    if table.exists():
        mapped = int(table.read_text().split()[0]) * resource.getpagesize()
        limit = mapped + mebibytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _answer(asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], Result]:
    field = asked["field"]
    try:
        if asked["text"]:
            data = parse_base64(data.decode("utf-8", "replace"), field)
        result = TASKS[asked["task"]](data, field, **asked["options"])
    except InvalidInput as error:
        return {"refused": [error.field, str(error)]}, Result()
    except MemoryError:
        return {"memory": True}, Result()
    except Exception:
        return {"fault": traceback.format_exc()}, Result()
    return {"told": result.told}, result


def _send(connection: Connection, told: dict[str, Any], result: Result) -> None:
    shapes = [list(array.shape) for array in result.arrays]
    connection.send_bytes(json.dumps({**told, "shapes": shapes}).encode())
    for array in result.arrays:
        connection.send_bytes(array.data.cast("B"))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
