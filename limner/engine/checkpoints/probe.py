"""Which device and number type to draw with.

A GPU draws in float16. On some CPUs bfloat16 runs 27 times slower than float32, on others twice as
fast; only the clock knows. There one 3x3 convolution and one matrix product are timed per type.
"""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional

from limner.errors import SettingsError

DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
# Its steps are eight times finer than bfloat16's, at the same speed.
GPU_DTYPE = "float16"
# On a CPU a coarser type has to be this many times faster than float32 to win. Only in float32 do a
# picture and its twin in another batch agree, and a CPU whose bfloat16 is merely
# twice as fast would choose differently from one busy start to the next.
WORTH = 4.0
ROUNDS = 6  # best of; the types take turns, so that a busy moment hits them alike


@dataclass(frozen=True)
class Probe:
    """``seconds`` per type for the same small work; infinite where the type does not run."""

    dtype: str
    seconds: Mapping[str, float]


def choose_device(wish: str) -> str:
    """``cpu`` or ``cuda`` for a wish of ``cpu``, ``cuda`` or ``auto``.

    Raises:
        SettingsError: an unknown device, or ``cuda`` where PyTorch finds none.
    """
    if wish not in ("auto", "cpu", "cuda"):
        raise SettingsError(f"device is {wish!r}; allowed are auto, cpu and cuda.")
    available = torch.cuda.is_available()
    if wish == "cuda" and not available:
        raise SettingsError(
            f"device is 'cuda', but PyTorch {torch.__version__} finds no CUDA device here; "
            "use cpu or auto."
        )
    return "cuda" if available and wish != "cpu" else "cpu"


def processor(device: str) -> str:
    """The name of what computes; of a CPU with the instructions for which PyTorch chose kernels."""
    if device == "cuda":
        return str(torch.cuda.get_device_name())
    return f"{_cpu_name()} ({torch.backends.cpu.get_cpu_capability()})"


def _cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return " ".join(found[1].split()) if found else platform.processor() or platform.machine()


def choose_dtype(wish: str, device: str) -> str:
    """The UNet's number type for a wish of ``auto`` or one of ``DTYPES``."""
    if wish == "auto":
        return GPU_DTYPE if device == "cuda" else probe().dtype
    if wish not in DTYPES:
        raise SettingsError(f"dtype is {wish!r}; allowed are auto, {', '.join(DTYPES)}.")
    return wish


def probe() -> Probe:
    """Time every type on this CPU (0.1 s) and choose."""
    with _one_thread():
        seconds = _times()
    return Probe(fastest(seconds), seconds)


def _times() -> dict[str, float]:
    work = {name: _work(dtype) for name, dtype in DTYPES.items()}
    seconds = {name: _clock(run) for name, run in work.items()}
    for round_ in range(ROUNDS):
        for name, run in work.items():
            if round_ == 0 or seconds[name] < WORTH * seconds["float32"]:
                again = _clock(run)
                # The very first call of each type chose kernels and allocated; forget it.
                seconds[name] = again if round_ == 0 else min(seconds[name], again)
    return seconds


def fastest(seconds: Mapping[str, float]) -> str:
    """The type to use: the fastest one where it is ``WORTH`` times faster than float32.

    Between the two short types float16 is preferred, whose steps are eight times finer, unless
    bfloat16 is faster by a fifth.
    """
    short = "float16" if seconds["float16"] <= 1.2 * seconds["bfloat16"] else "bfloat16"
    return short if seconds[short] * WORTH <= seconds["float32"] else "float32"


def _work(dtype: torch.dtype) -> Callable[[], object]:
    channels, size = 64, 16
    x = torch.ones(2, channels, size, size, dtype=dtype)
    kernel = torch.ones(channels, channels, 3, 3, dtype=dtype)
    matrix = torch.ones(channels * 4, channels, dtype=dtype)

    def run() -> object:
        with torch.inference_mode():
            y = functional.conv2d(x, kernel, padding=1)
            return functional.linear(y.flatten(2).transpose(1, 2), matrix)

    return run


def _clock(run: Callable[[], object]) -> float:
    start = time.thread_time()  # this thread's own, so that a busy machine chooses alike
    try:
        run()
    except RuntimeError:  # no kernel for this type here
        return float("inf")
    return time.thread_time() - start


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
