"""Files and memory of the server's process, measured in processes of their own."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from limner.cli import process

COUNT_HEAPS = """
import ctypes, sys, threading
from limner.cli import process

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
if sys.argv[2] == "shared":
    process.share_arenas()
ready = threading.Barrier(8)

def allocate():
    ready.wait()
    libc.malloc(1000)
    ready.wait()

threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's arenas are measured")
def test_threads_share_two_arenas(tmp_path: Path) -> None:
    heaps = {}
    for how in ("shared", "alone"):
        told = tmp_path / how
        subprocess.run([sys.executable, "-c", COUNT_HEAPS, str(told), how], check=True, timeout=60)
        heaps[how] = told.read_text().count("<heap nr=")
    assert heaps["shared"] <= process.ARENAS < heaps["alone"]


def test_the_soft_limit_of_files_is_raised_and_never_lowered() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        assert process.allow_files(600) == 600
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 600
        assert process.allow_files(500) == 600
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 600
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_connections_leave_files_for_the_rest() -> None:
    assert process.connections_within(files=10_000, wanted=4096, others=256) == 4096
    assert process.connections_within(files=1024, wanted=4096, others=256) == 768
    assert process.connections_within(files=64, wanted=4096, others=256) == 32
