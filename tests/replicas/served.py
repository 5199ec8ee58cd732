"""A server whose pictures are drawn by replicas, as a process, and who its processes are."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.e2e import servers
from tests.waiting import wait_for

READY_S = 900.0  # Ray starts processes, one after another


def children(pid: int) -> list[int]:
    """All processes below one."""
    below, found = [pid], []
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                line = (folder / "stat").read_text()
                parents[int(folder.name)] = int(line.rpartition(")")[2].split()[1])
    while below:
        own = below.pop()
        below += [child for child, parent in parents.items() if parent == own]
        found.append(own)
    return found[1:]


def named(pid: int, name: str) -> list[int]:
    """Processes below one that Ray calls ``ray::name``."""
    return [child for child in children(pid) if name in _command(child)]


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return ""


@contextlib.contextmanager
def serving(
    folder: Path, *flags: str, program=servers.FAKE, **environ: str
) -> Iterator[servers.Server]:
    """A server over replicas; nothing of it is left afterwards."""
    kept = {name: os.environ.get(name) for name in environ}
    os.environ.update(environ)
    server = None
    try:
        flags = ("--engine", "ray", *flags)
        server = servers.start(folder, *flags, program=program, ready_s=READY_S)
        yield server
    finally:
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        if server is not None:
            end(server)


def end(server: servers.Server) -> None:
    """Kill a server with all that it began."""
    below = children(server.process.pid)
    for pid in (server.process.pid, *below):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server.process.wait()


def replicas_of(server: servers.Server, number: int) -> list[int]:
    """The processes of its replicas, once there are so many; Ray may take minutes for one."""
    found = partial(named, server.process.pid, "ServeReplica")
    return wait_for(found, lambda those: len(those) >= number, within_s=240.0)
