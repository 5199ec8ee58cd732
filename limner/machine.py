"""What this process may use of the machine: cores and memory, a container's limits included.

Linux tells the machine's own numbers to everybody. What a container or a unit of systemd may
have stands in the files of its control group, version 1 or 2, and of every group above it.
"""

from __future__ import annotations

import math
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
GIVES_WAY = 10  # of 19 priorities: a tenth of what an equal would get, where there is no more


def cores(root: Path = ROOT) -> int:
    """Processors that this process may keep busy: at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quotas = [_quota(group) for group in _groups(root, "cpu")]
    return max(1, math.floor(min([*filter(None, quotas), float(allowed or 1)])))


def available_memory(root: Path = ROOT) -> int:
    """Bytes to be had without swapping: what caches hold counts as free."""
    left = [_left(group) for group in _groups(root, "memory")]
    return max(0, min([_of_machine(root), *(each for each in left if each is not None)]))


def give_way() -> None:
    """Let the other threads of this process have the processors first; for the calling thread.

    And for those that it starts. Only Linux has priorities of threads; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        usual = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(19, usual + GIVES_WAY))


def _of_machine(root: Path) -> int:
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _text(root / "proc/meminfo"), re.MULTILINE)
    if found is not None:
        return int(found[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of this process's group and of those above it, in both versions.

    In a container the path may be the host's, of which only the root is there.
    """
    mount = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top = mount
        elif controller in controllers.split(","):
            top = mount / controller
        else:
            continue
        group = top / path.lstrip("/")
        yield group
        while group != top and top in group.parents:
            group = group.parent
            yield group


def _quota(group: Path) -> float | None:
    """Processors of which a group may have the time."""
    told = _text(group / "cpu.max").split() or [
        _text(group / "cpu.cfs_quota_us").strip(),
        _text(group / "cpu.cfs_period_us").strip(),
    ]
    if len(told) < 2 or not (told[0].isdigit() and told[1].isdigit()):
        return None  # "max", or -1
    return int(told[0]) / int(told[1])


def _left(group: Path) -> int | None:
    """Bytes that a group may still take."""
    for limit, used, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        most, taken = _text(group / limit).strip(), _text(group / used).strip()
        if most.isdigit() and taken.isdigit():
            cache = re.search(rf"^{cached} (\d+)$", _text(group / "memory.stat"), re.MULTILINE)
            return int(most) - int(taken) + (int(cache[1]) if cache else 0)
    return None


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
