"""Names of hosts to addresses, on threads of their own.

The system's resolver blocks its thread for as long as a name server likes to take, and nothing
can stop it. So each name gets a daemon thread, which delays neither other work nor the end of the
process, and there are only so many of them.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from concurrent.futures import Future

from limner.errors import LimitExceeded, Unavailable
from limner.pools import WHOSE

THREADS_MAX = 32
EACH_MAX = 8  # of one key

_lock = threading.Lock()
_asked = Counter[str]()


async def first_address(host: str, port: int) -> str:
    """The first address of ``host``, as the system tells it; waits as long as the caller does.

    Raises ``OSError`` or ``UnicodeError`` where there is none, ``LimitExceeded`` while
    ``EACH_MAX`` names of the present key have not been answered, and ``Unavailable`` while
    ``THREADS_MAX`` of all have not.
    """
    key = WHOSE.get()
    _begin(key)
    answer: Future[str] = Future()
    answer.set_running_or_notify_cancel()  # so that a caller who leaves does not take it along

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.set_result(str(found[0][4][0]))
        except Exception as error:
            answer.set_exception(error)
        finally:
            _end(key)

    threading.Thread(target=look_up, name="limner-resolve", daemon=True).start()
    return await asyncio.wrap_future(answer)


def _begin(key: str) -> None:
    with _lock:
        if key and _asked[key] >= EACH_MAX:
            raise LimitExceeded(
                f"{EACH_MAX} names of hosts are being looked up for this key, its limit", 2
            )
        if _asked.total() >= THREADS_MAX:
            raise Unavailable(
                f"{THREADS_MAX} names of hosts are being looked up already; try again", 2
            )
        _asked[key] += 1


def _end(key: str) -> None:
    with _lock:
        _asked[key] -= 1
        if not _asked[key]:
            del _asked[key]
