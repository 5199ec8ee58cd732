"""Sixteen mixed requests at once through the server, against diffusers one after another.

    python -m bench.mixed16 [--rounds 3] [--model PATH] [--json FILE]

Both draw the same requests with the same weights, seeds, schedulers and threads in one process,
alternating; the medians and their ratio are printed. The peer is diffusers' own pipeline, with
the faster of its two memory formats.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import diffusers
import httpx
import torch
import uvicorn

from limner.cli.serving import make_app, make_engine
from limner.domain.schedulers import BETAS, SPECS, find
from limner.engine.batching.loop import ThreadEngine
from limner.engine.checkpoints.weights import load
from limner.settings import Settings
from limner.store import keys
from limner.store.db import Database

REQUESTS = [json.loads(line) for line in Path("bench/mixed16.jsonl").read_text().splitlines()]


class Server:
    """``limner serve`` in this process, on a free port, with its own data folder."""

    def __init__(self, model: Path | None) -> None:
        self._folder = tempfile.TemporaryDirectory()
        settings = Settings(data_dir=Path(self._folder.name), model=model)
        database = Database.open(settings.database_url)
        with database.begin() as conn:
            self.key, key = keys.create(conn, name="bench", credits_micro=10**12)
            keys.accept_licence(conn, key.id, "creativeml-openrail-m", "2022-08-22")
        self.engine: ThreadEngine = make_engine(settings)
        while not self.engine.status().ready:
            time.sleep(0.1)
        app = make_app(settings, database, self.engine)
        config = uvicorn.Config(app, loop="asyncio", port=0, log_level="error")
        self._server = uvicorn.Server(config)
        threading.Thread(target=self._server.run, daemon=True).start()
        while not self._server.started:
            time.sleep(0.05)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=3600)

    def draw(self, body: dict[str, Any]) -> float:
        """Seconds until the picture is here."""
        began = time.perf_counter()
        answer = self.client.post("/v1/sd1.5-rpg", json=body, headers={"x-api-key": self.key})
        answer.raise_for_status()
        return time.perf_counter() - began

    def close(self) -> None:
        self._server.should_exit = True
        self.engine.close()


def server_round(server: Server) -> dict[str, Any]:
    """All requests at once."""
    before = server.engine.status().stats
    began = time.perf_counter()
    with ThreadPoolExecutor(len(REQUESTS)) as pool:
        latencies = list(pool.map(server.draw, REQUESTS))
    total = time.perf_counter() - began
    after = server.engine.status().stats
    unet, vae = after.unet_s - before.unet_s, after.vae_s - before.vae_s
    rows = (after.rows - before.rows) / (after.steps - before.steps)
    return {
        "total_s": total,
        "latency_s": statistics.median(latencies),
        "unet": unet / total,
        "vae": vae / total,
        "other": 1 - (unet + vae) / total,
        "rows_per_step": rows,
    }


def peer(model: Path | None) -> diffusers.StableDiffusionPipeline:
    checkpoint = load(model)
    pipe = diffusers.StableDiffusionPipeline(
        vae=checkpoint.vae,
        text_encoder=checkpoint.text_encoder,
        tokenizer=checkpoint.tokenizer,
        unet=checkpoint.unet,
        scheduler=diffusers.DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def peer_draw(pipe: diffusers.StableDiffusionPipeline, body: dict[str, Any]) -> float:
    """Seconds of one picture by diffusers, saved as JPEG like the server's."""
    began = time.perf_counter()
    name = find(body["scheduler"])
    assert name is not None
    spec = SPECS[name]
    pipe.scheduler = getattr(diffusers, spec.class_name)(**BETAS, **spec.arguments)
    picture = pipe(
        body["prompt"],
        negative_prompt=body["negative_prompt"],
        num_inference_steps=body["num_inference_steps"],
        guidance_scale=body["guidance_scale"],
        width=body["img_width"],
        height=body["img_height"],
        generator=torch.Generator().manual_seed(body["seed"]),
    ).images[0]
    with tempfile.TemporaryFile() as file:
        picture.save(file, "JPEG", quality=95)
    return time.perf_counter() - began


def peer_round(pipe: diffusers.StableDiffusionPipeline) -> dict[str, Any]:
    """All requests, one after another; a request waits for those before it."""
    seconds = [peer_draw(pipe, body) for body in REQUESTS]
    waits = [sum(seconds[: n + 1]) for n in range(len(seconds))]
    return {"total_s": sum(seconds), "latency_s": statistics.median(waits)}


def choose_format(pipe: diffusers.StableDiffusionPipeline) -> str:
    """The peer's faster memory format, by two pictures each."""
    times = {}
    for name in ("contiguous", "channels_last"):
        memory = torch.channels_last if name == "channels_last" else torch.contiguous_format
        pipe.unet.to(memory_format=memory)
        peer_draw(pipe, REQUESTS[0])
        times[name] = peer_draw(pipe, REQUESTS[0])
    best = min(times, key=times.__getitem__)
    memory = torch.channels_last if best == "channels_last" else torch.contiguous_format
    pipe.unet.to(memory_format=memory)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    server, pipe = Server(options.model), peer(options.model)
    memory = choose_format(pipe)
    server.draw(REQUESTS[0])
    ours, theirs = [], []
    for number in range(options.rounds):
        theirs.append(peer_round(pipe))
        ours.append(server_round(server))
        print(f"round {number + 1}: {theirs[-1]['total_s']:.2f} s diffusers, "
              f"{ours[-1]['total_s']:.2f} s limner", flush=True)  # fmt: skip
    result = {
        "ratio": statistics.median(r["total_s"] for r in ours)
        / statistics.median(r["total_s"] for r in theirs),
        "limner": {k: statistics.median(r[k] for r in ours) for k in ours[0]},
        "diffusers": {k: statistics.median(r[k] for r in theirs) for k in theirs[0]},
        "memory_format": memory,
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "diffusers": diffusers.__version__},
        "machine": platform.processor() or platform.machine(),
    }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    server.close()


if __name__ == "__main__":
    main()
