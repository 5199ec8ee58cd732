"""Records what a server of an older release tells its database: ``... recording CHECKOUT``.

Its life: it starts on an empty database and makes its first key; draws while a caller waits, and
from its queue; one request is cancelled, one fails, one is deleted; then it stops. What is kept was
recorded from the code whose newest revision is 0007.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from bench import fleet
from tests.e2e import servers
from tests.store.older import HERE
from tests.waiting import wait_until

BODY = {"prompt": "a knight", "num_inference_steps": 20, "img_width": 512, "img_height": 512}
QUIET_MOST = 3  # transactions of the same words that change nothing, such as looks at the queue


def main(checkout: Path) -> None:
    for kind in ("sqlite", "postgresql"):
        folder = Path(tempfile.mkdtemp(prefix="limner-older-"))
        with fleet.database(kind, folder / "data") as url:
            told = folder / "told"
            os.environ["LISTEN_TO"], os.environ["FAKE_STEP_S"] = str(told), "0.02"
            program = (str(HERE / "listening.py"),)
            flags = ("--database-url", url)
            server = servers.start(folder / "data", *flags, program=program, checkout=checkout)
            live(server)
            assert server.stop() == 0, server.said()
        # Nothing of the machine it was recorded on.
        plain = told.read_text().replace(str(folder / "data"), "/srv/limner")
        plain = re.sub(r'"[^"/]+/pid:\[[0-9]+\]/[0-9]+/[0-9]+"', '"elsewhere/pid:[1]/1/1"', plain)
        lines = [json.loads(line) for line in plain.splitlines()]
        (HERE / f"{kind}.json").write_text(packed(lines))


def live(server: servers.Server) -> None:
    """What its callers do."""
    with httpx.Client(base_url=server.url, headers=server.headers, timeout=120) as http:
        for number in range(3):
            named = {"idempotency-key": f"draw-{number}"}
            http.post("/v1/sd1.5-rpg", json=BODY, headers=named).raise_for_status()
        long = BODY | {"num_inference_steps": 100}
        paths = [follow(http, each) for each in (BODY, BODY | {"prompt": "!fault"}, BODY, long)]
        for path in (paths[-1], paths[0]):  # the one is cancelled, the other deleted
            http.delete(path).raise_for_status()


def follow(http: httpx.Client, body: dict[str, Any]) -> str:
    """Queue one, and wait for its end unless it is the long one."""
    told = http.post("/api/requests", json={"requests": [body]}).json()
    path = f"/api/requests/{told['requests'][0]['request_id']}"
    ends = ("COMPLETED", "FAILED", "PROCESSING")[: 3 if body["num_inference_steps"] > 20 else 2]
    wait_until(lambda: http.get(path).json()["status"] in ends)
    return path


def packed(transactions: list[list[Any]]) -> str:
    """Each text once, and of what changes nothing a few."""
    texts: dict[str, int] = {}
    seen, kept = Counter[tuple[str, ...]](), []
    for each in transactions:
        words = tuple(sql for sql, _, _ in each)
        quiet = not any(rows for _, _, rows in each)
        seen[words] += quiet
        if not quiet or seen[words] <= QUIET_MOST:
            kept.append([[texts.setdefault(sql, len(texts)), *rest] for sql, *rest in each])
    whole = {"statements": [*texts], "transactions": kept}
    return json.dumps(whole, separators=(",", ":")) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
