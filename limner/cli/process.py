"""What the operating system lets a server's process have: files, and memory that comes back."""

from __future__ import annotations

import ctypes
import resource

_M_ARENA_MAX = -8  # malloc.h
ARENAS = 2


def allow_files(number: int) -> int:
    """Raise the soft limit of open files towards ``number``, and say how many there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return number if soft == resource.RLIM_INFINITY else soft


def connections_within(files: int, wanted: int, others: int) -> int:
    """How many of ``wanted`` connections fit into ``files`` beside ``others``: at least half."""
    return min(wanted, max(files - others, files // 2))


def share_arenas() -> None:
    """Let all threads share two of glibc's arenas; elsewhere than on glibc, do nothing.

    By default each thread gets an arena of its own and keeps the tensors' memory that it freed
    there, so a server with many threads grows for a long time. Call it before threads start.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, ARENAS)
