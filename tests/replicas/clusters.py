"""A Ray cluster of its own on the loopback address, which servers join; and what Serve says."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.servers import free_port
from tests.replicas.served import children
from tests.waiting import wait_for

_RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]
STARTED = "Ray runtime started"
PORTS = (
    "--dashboard-agent-listen-port",
    "--dashboard-agent-grpc-port",
    "--metrics-export-port",
    "--runtime-env-agent-port",
    "--ray-client-server-port",
)
_ASK = """
import json, ray
from ray import serve
ray.init(address={address!r}, log_to_driver=False, configure_logging=False)
found = serve.status().applications["limner"].deployments["engine"]
print(json.dumps({{str(state): n for state, n in found.replica_states.items()}}))
"""


@dataclass
class Head:
    """A head that draws: its address, what those who join need, and its process."""

    address: str
    environ: dict[str, str]
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def flags(self) -> tuple[str, ...]:
        """Of a server that draws on it."""
        return ("--ray-address", self.address)

    def states(self) -> str:
        """What states Serve knows the replicas in, as JSON of numbers."""
        command = [sys.executable, "-c", _ASK.format(address=self.address)]
        environ = {**os.environ, **self.environ}
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environ)
        return done.stdout or done.stderr

    def end(self) -> None:
        """Kill all of it."""
        for pid in (self.process.pid, *children(self.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def head(folder: Path, **environ: str) -> Iterator[Head]:
    """One that asks for a token; ``environ`` is its processes', the replicas' among them.

    Ray gives up a start that takes its own processes half a minute; then it is begun again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(5):
        made = _begun(folder / "head.log", environ)
        try:
            if _started(made, folder / "head.log"):
                yield made
                return
        finally:
            made.end()
    raise AssertionError((folder / "head.log").read_text())


def _started(made: Head, log: Path) -> bool:
    ended = made.process.poll
    wait_for(log.read_text, lambda told: STARTED in told or ended() is not None, within_s=240.0)
    return ended() is None


def _begun(log: Path, environ: dict[str, str]) -> Head:
    port, ours = free_port(), {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    ours["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # else Ray takes another address of the machine
    command = [*_RAY, "start", "--head", "--block", "--node-ip-address", "127.0.0.1"]
    command += ["--port", str(port), "--num-cpus", "4", "--disable-usage-stats"]
    command += ["--include-dashboard", "false", "--min-worker-port", "0", "--max-worker-port", "0"]
    for each in PORTS:  # those that Ray finds itself it waits for, a quarter of a minute
        command += [each, str(free_port())]
    own = {**os.environ, **ours, **environ, "PYTHONPATH": str(Path().resolve())}
    own |= {"RAY_worker_niceness": "0"}
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=own)
    return Head(f"127.0.0.1:{port}", ours, process)
