"""Requests made up by a machine: ``python -m bench.generated --requests 100000``.

Routes come from the server's own OpenAPI document; bodies are valid ones with fields broken at
random, and bytes that are no bodies at all. The server may refuse whatever it likes; it may not
answer 5xx (503 with Retry-After, when its queue is full, excepted), hang, or grow. With
``--faults ODDS`` steps, decoding, files and transactions fail now and then: then 500 is an answer,
which bills nothing. At the end the books must be right. One line of JSON tells all.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import shutil
import string
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx

from bench import fleet

ANSWER_MAX_S = 60.0
STRANGE = (
    None, True, -1, 0, 1e308, 2**63, "", " ", "-1", "1e9", "NaN", [], {}, [[]], {"a": {"b": []}},
    "\u0000", "\ud800", "é" * 3000, "(((" * 500, "a AND b", "{a|b|{c|d}}", "[x:y:0.5]",
    "<lora:x:1>", "data:image/png;base64,AAAA", "http://127.0.0.1:1/x.png", "../../etc/passwd",
    "'; DROP TABLE keys; --", "BREAK " * 50, "A" * 20_000,
)  # fmt: skip


class Maker:
    """Makes requests, the same for the same seed."""

    def __init__(self, document: dict, seed: int) -> None:
        self.dice = random.Random(seed)
        self.calls = [
            (verb.upper(), path, operation)
            for path, verbs in document["paths"].items()
            for verb, operation in verbs.items()
        ]
        self.drawing = [call for call in self.calls if call[1].startswith(("/v1/sd", "/v2/sd"))]

    def request(self) -> dict:
        """Arguments of ``httpx.request``: one in fifty may draw, the rest is cheaper."""
        draws = self.dice.random() < 0.02
        verb, path, operation = self.dice.choice(self.drawing if draws else self.calls)
        made = {"method": verb, "url": self._path(path), "headers": {}}
        if "requestBody" in operation:
            schemas = operation["requestBody"]["content"]
            kind = self.dice.choice(list(schemas))
            self._add_body(made, kind, schemas[kind]["schema"], broken=not draws)
        if self.dice.random() < 0.1:
            made["params"] = {self._word(): str(self._strange())[:200]}
        if self.dice.random() < 0.1:
            made["headers"]["idempotency-key"] = str(self.dice.randrange(50))
        return made

    def _path(self, path: str) -> str:
        return path.replace("{id}", self.dice.choice(("req_1", "pic_2", "x" * 99))).replace(
            "{path}", self._word()
        )

    def _add_body(self, made: dict, kind: str, schema: dict, *, broken: bool) -> None:
        fields = {
            name: self._valid(name, each)
            for name, each in schema.get("properties", {}).items()
            if name in schema.get("required", ()) or self.dice.random() < 0.15
        }
        if broken:
            for _ in range(self.dice.randrange(1, 3)):
                name = self.dice.choice([*schema.get("properties", {"x": {}}), self._word()])
                fields[name] = self._strange()
        made["headers"]["content-type"] = kind
        if broken and self.dice.random() < 0.1:
            made["content"] = self.dice.randbytes(self.dice.randrange(200))
        elif kind == "multipart/form-data":
            del made["headers"]["content-type"]
            made["files"] = {name: (None, _form_text(value)) for name, value in fields.items()}
        else:
            made["content"] = json.dumps(fields)

    def _valid(self, name: str, schema: dict):
        if name in ("image", "mask"):
            return self._strange()
        if "enum" in schema:
            return self.dice.choice(schema["enum"])
        kind = schema.get("type")
        if kind == "integer":
            low = schema.get("minimum", 0)
            step = schema.get("multipleOf", 1)
            return self.dice.choice((low, low + step, low + 2 * step))
        if kind == "number":
            return self.dice.uniform(schema.get("minimum", 0), min(9, schema.get("maximum", 9)))
        if kind == "boolean":
            return self.dice.random() < 0.5
        return self._word()

    def _strange(self):
        return self.dice.choice(STRANGE)

    def _word(self) -> str:
        return "".join(self.dice.choices(string.ascii_letters + "_ ", k=self.dice.randrange(1, 12)))


def _form_text(value) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "surrogatepass")


async def send(server: fleet.Server, keys: list[str], options: argparse.Namespace) -> list[str]:
    """Everything, by 16 clients; the faults found."""
    document = httpx.get(f"{server.url}/openapi.json").json()
    makers = [Maker(document, options.seed * 1000 + index) for index in range(options.clients)]
    numbers, statuses, faults = itertools.count(), Counter(), []
    memory: list[tuple[float, float]] = []
    longest = 0.0

    async def client(maker: Maker) -> None:
        nonlocal longest
        async with httpx.AsyncClient(base_url=server.url, timeout=ANSWER_MAX_S) as http:
            while (number := next(numbers)) < options.requests and len(faults) < 20:
                made = maker.request()
                made["headers"]["x-api-key"] = maker.dice.choice(keys)
                if "/events" in made["url"]:
                    continue
                sent = time.perf_counter()
                try:
                    answer = await http.request(**made)
                except (httpx.InvalidURL, UnicodeEncodeError, httpx.LocalProtocolError):
                    continue
                except httpx.HTTPError as error:
                    faults.append(f"{error!r} for {_short(made)}")
                    continue
                statuses[answer.status_code] += 1
                longest = max(longest, time.perf_counter() - sent)
                if answer.status_code >= 500 and (
                    wrong := fleet.wrong_error(answer, faults=options.faults > 0)
                ):
                    faults.append(f"{wrong} for {_short(made)}")
                if number % (options.requests // 100 or 1) == 0:
                    memory.append((number, server.resident_mib))

    began = time.perf_counter()
    await asyncio.gather(*map(client, makers))
    took = time.perf_counter() - began
    warm = [point for point in memory if point[0] > options.requests / 4]
    growth = fleet.slope(warm) * 10_000 if len(warm) > 2 else 0.0
    report = {
        "answers": sum(statuses.values()),
        "seconds": round(took),
        "a_second": round(sum(statuses.values()) / took),
        "statuses": dict(sorted(statuses.items())),
        "longest_s": round(longest, 2),
        "memory_mib": [round(mib) for _, mib in memory[:: max(1, len(memory) // 10)]],
        "mib_in_10000_after_a_quarter": round(growth, 2),
        "files": server.files,
        "threads": server.threads,
        "load": round(os.getloadavg()[0], 1),
        "faults": len(faults),
    }
    print(json.dumps(report))
    return faults


def exceptions(server: fleet.Server) -> list[str]:
    """Those of its log that nobody planted."""
    told = [line for line in server.log.read_text().splitlines() if '"exception"' in line]
    return [line for line in told if "planted" not in line]


def _short(made: dict) -> str:
    return ascii({k: v for k, v in made.items() if k != "headers"})[:1500]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--database", default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=float, default=0, help="odds of a planted fault")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="limner-generated-"))
    with fleet.database(options.database, folder) as url:
        keys = [fleet.new_key(url), "SG_" + "0" * 32]
        keys = [keys[0]] * 19 + keys[1:]
        chosen = {"wrong_keys_max_per_minute": 10**6, "keep_max_mib": 64}
        server = fleet.Server(folder, url, step_s=0, faults=options.faults, **chosen)
        server.wait_ready()
        faults = asyncio.run(send(server, keys, options))
        ended = server.stop()
        faults += [f"ended with {ended}"] if ended else []
        faults += [f"logged {line[:1500]}" for line in exceptions(server)[:5]]
        faults += fleet.books(url)
    if faults:
        raise SystemExit("\n".join([*faults, f"the data is in {folder}"]))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
