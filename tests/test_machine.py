"""What a process may use: of control groups of both versions, as the kernel writes them."""

import os
import sys
import threading

import pytest

from limner import machine

GIB = 2**30
MEMINFO = "MemTotal: 268435456 kB\nMemFree:   100 kB\nMemAvailable:   262144000 kB\n"


@pytest.fixture
def tell(tmp_path):
    """Writes files under a root, by path."""

    def write(files):
        for name, text in {"proc/meminfo": MEMINFO, **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


V2 = "0::/limner.slice/limner.service\n"
V1 = "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"
FULL = "sys/fs/cgroup/limner.slice/limner.service"


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({}, 262144000 * 1024),
        ({"proc/self/cgroup": V2}, 262144000 * 1024),
        (  # a unit, 2 GiB, of which 1.5 are taken and 0.25 of that is cache
            {
                "proc/self/cgroup": V2,
                f"{FULL}/memory.max": f"{2 * GIB}\n",
                f"{FULL}/memory.current": f"{3 * GIB // 2}\n",
                f"{FULL}/memory.stat": f"anon 5\ninactive_file {GIB // 4}\nactive_file 7\n",
            },
            3 * GIB // 4,
        ),
        (  # the group above is smaller; "max" is no limit
            {
                "proc/self/cgroup": V2,
                f"{FULL}/memory.max": "max\n",
                f"{FULL}/memory.current": "5\n",
                "sys/fs/cgroup/limner.slice/memory.max": f"{GIB}\n",
                "sys/fs/cgroup/limner.slice/memory.current": "0\n",
            },
            GIB,
        ),
        (  # a container sees its own group as the root, and the host's path
            {
                "proc/self/cgroup": V2,
                "sys/fs/cgroup/memory.max": f"{2 * GIB}\n",
                "sys/fs/cgroup/memory.current": f"{3 * GIB}\n",
            },
            0,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GIB}\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIB}\n",
                "sys/fs/cgroup/memory/memory.stat": f"total_inactive_file {GIB // 2}\n",
            },
            3 * GIB // 2,
        ),
    ],
)
def test_memory(tell, files, left):
    assert machine.available_memory(tell(files)) == left


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 64),
        ({"proc/self/cgroup": V2, f"{FULL}/cpu.max": "max 100000\n"}, 64),
        ({"proc/self/cgroup": V2, f"{FULL}/cpu.max": "250000 100000\n"}, 2),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000\n",
            },
            64,
        ),
    ],
)
def test_cores(tell, files, cores, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64))
    assert machine.cores(tell(files)) == cores


def test_this_machine():
    assert 1 <= machine.cores() <= os.cpu_count()
    assert machine.available_memory() > 0


def test_without_proc(tmp_path):
    assert machine.available_memory(tmp_path) > 0
    assert machine.cores(tmp_path) >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
def test_a_thread_gives_way_and_the_others_do_not():
    def look():
        machine.give_way()
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    seen, usual = [], os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [min(19, usual + machine.GIVES_WAY)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == usual
