"""Clients that people already have, over real HTTP, against the embedded model."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import segmind
from PIL import Image

from limner.imaging import read_metadata
from tests.e2e import servers
from tests.e2e.servers import Server

ROOT = Path(__file__).parents[2]
PUBLISHED = json.loads((ROOT / "examples" / "published.json").read_text())
NODE_FOLDER = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "limner-tests-node"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = servers.start(tmp_path_factory.mktemp("server") / "data")
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module")
def axios() -> Path:
    """A folder whose ``node_modules`` holds axios, installed once per machine."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed")
    NODE_FOLDER.mkdir(parents=True, exist_ok=True)
    if not (NODE_FOLDER / "node_modules" / "axios").is_dir():
        subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", "axios@1"],
            cwd=NODE_FOLDER,
            check=True,
        )
    return NODE_FOLDER


def is_desert_with_a_figure(picture: Image.Image) -> bool:
    """The middle differs clearly from the left and right edge: somebody stands there."""
    pixels = np.asarray(picture.convert("RGB"), float)
    height, width, _ = pixels.shape
    rows = slice(height // 4, 3 * height // 4)
    middle = pixels[rows, 3 * width // 8 : 5 * width // 8].mean(axis=(0, 1))
    edges = np.concatenate([pixels[rows, : width // 8], pixels[rows, -width // 8 :]], axis=1)
    return bool(np.abs(middle - edges.mean(axis=(0, 1))).max() > 12)


def test_the_published_program_runs_with_node_and_axios(
    server: Server, axios: Path, tmp_path: Path
) -> None:
    file = tmp_path / "warrior.jpg"
    done = subprocess.run(
        ["node", str(ROOT / "examples" / "rpg_v4.cjs"), str(file)],
        env={
            **os.environ,
            "LIMNER_URL": server.url,
            "LIMNER_KEY": server.key,
            "NODE_PATH": str(axios / "node_modules"),
        },
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert "image/jpeg, seed 2601738487234" in done.stdout
    picture = Image.open(file)
    assert picture.format == "JPEG"
    assert picture.size == (512, 768)
    assert is_desert_with_a_figure(picture)


def test_the_vendors_package_draws_after_a_change_of_its_base_url(server: Server) -> None:
    client = segmind.SegmindClient(api_key=server.key, base_url=f"{server.url}/v1", timeout=100)
    body = {**PUBLISHED, "img_height": 512, "num_inference_steps": 20}
    answer = client.run_sync("sd1.5-rpg", **body)
    assert answer.headers["content-type"] == "image/jpeg"
    assert float(answer.headers["x-remaining-credits"]) < 100
    assert Image.open(io.BytesIO(answer.content)).size == (512, 512)
    receipt = read_metadata(answer.content).receipt
    assert receipt is not None
    assert receipt["parameters"]["seed"] == PUBLISHED["seed"]
    assert receipt["parameters"]["scheduler"] == "DDIM"


def test_the_printed_curl_draws_when_pasted(server: Server, tmp_path: Path) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    printed = re.search(r"curl -o knight\.jpg(?s:.*?)}'", server.log.read_text())
    assert printed, server.log.read_text()
    subprocess.run(["sh", "-c", printed[0]], cwd=tmp_path, check=True, capture_output=True)
    assert Image.open(tmp_path / "knight.jpg").size == (512, 768)


def test_exact_pictures_repeat_to_the_bit_over_http(server: Server) -> None:
    body = {"prompt": "a mage", "seed": 2**40, "exact": True, "output_format": "png"}
    first, second = (
        httpx.post(f"{server.url}/v1/sd1.5-rpg", json=body, headers=server.headers, timeout=100)
        for _ in range(2)
    )
    assert first.status_code == 200, first.text
    assert first.content == second.content
