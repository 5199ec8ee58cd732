"""Which process this is, and whether another one of the same machine has ended.

Only where Linux tells enough to be sure; elsewhere nobody is said to have ended.
"""

from __future__ import annotations

import os
from pathlib import Path

UNKNOWN = "?"


def identity(pid: int | None = None) -> str:
    """``boot/namespace/pid/start``: no two processes share it, also across machines and boots.

    The boot's id tells machines apart, the namespace's number the containers on one of them,
    and the start (in clock ticks since the boot) one process from a later one with its number.
    """
    pid = os.getpid() if pid is None else pid
    return f"{_place()}/{pid}/{_start(pid)}"


def has_ended(process: str) -> bool:
    """Whether the process with this identity is gone; False when that cannot be known here."""
    place, _, rest = process.rpartition("/")
    place, _, pid = place.rpartition("/")
    if UNKNOWN in process or place != _place() or not pid.isdecimal():
        return False
    return _start(int(pid)) != rest


def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        return UNKNOWN
    return f"{boot}/{namespace}"


def _start(pid: int) -> str:
    """When a process began; empty when there is none, or nothing of it but its exit status."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # proc(5): the name, in parentheses, may hold anything; state and start are fields 3 and 22.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
