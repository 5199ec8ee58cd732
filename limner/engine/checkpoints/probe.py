"""Which device and number type to draw with, decided by timing, not by name.

On some CPUs bfloat16 runs 27 times slower than float32, on others twice as fast; only the clock
knows. One 3x3 convolution and one matrix product of SD 1.5's middle sizes are timed per type.
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
# A coarser type has to be this many times faster than float32 to win. Only in float32 do a
# picture and its twin in another batch agree, and a CPU whose bfloat16 is merely
# twice as fast would choose differently from one busy start to the next.
WORTH = 4.0
ROUNDS = 6  # best of; the types take turns, so that a busy moment hits them alike


@dataclass(frozen=True)
class Probe:
    """``seconds`` per type for the same small work; infinite where the type does not run."""

    device: str
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
    """The number type's name for a wish of ``auto`` (probed) or one of ``DTYPES``."""
    if wish == "auto":
        return probe(device).dtype
    if wish not in DTYPES:
        raise SettingsError(f"dtype is {wish!r}; allowed are auto, {', '.join(DTYPES)}.")
    return wish


def probe(device: str) -> Probe:
    """Time every type on the device (0.1 s on a CPU) and choose."""
    place = torch.device(device)
    with _one_thread():
        seconds = _times(place)
    return Probe(device, fastest(seconds), seconds)


def _times(place: torch.device) -> dict[str, float]:
    work = {name: _work(dtype, place) for name, dtype in DTYPES.items()}
    seconds = {name: _clock(run, place) for name, run in work.items()}
    for round_ in range(ROUNDS):
        for name, run in work.items():
            if round_ == 0 or seconds[name] < WORTH * seconds["float32"]:
                again = _clock(run, place)
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


def _work(dtype: torch.dtype, device: torch.device) -> Callable[[], object]:
    # A GPU needs enough work that launching it is not what is timed.
    channels, size = (640, 64) if device.type == "cuda" else (64, 16)
    x = torch.ones(2, channels, size, size, dtype=dtype, device=device)
    kernel = torch.ones(channels, channels, 3, 3, dtype=dtype, device=device)
    matrix = torch.ones(channels * 4, channels, dtype=dtype, device=device)

    def run() -> object:
        with torch.inference_mode():
            y = functional.conv2d(x, kernel, padding=1)
            return functional.linear(y.flatten(2).transpose(1, 2), matrix)

    return run


def _clock(run: Callable[[], object], device: torch.device) -> float:
    # On a CPU this thread's own time is counted, so that a busy machine chooses alike.
    now = time.perf_counter if device.type == "cuda" else time.thread_time
    start = now()
    try:
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    except RuntimeError:  # no kernel for this type here
        return float("inf")
    return now() - start


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
