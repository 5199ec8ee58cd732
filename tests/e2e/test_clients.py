"""Clients that people already have, over real HTTP, against the embedded model."""

from __future__ import annotations

import base64
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
import openai
import pytest
import segmind
import webuiapi
from PIL import Image

import limner.client
from limner.engine.batching.loop import ThreadEngine
from limner.engine.starting import Loader
from limner.imaging import read_metadata
from tests.e2e import servers
from tests.e2e.servers import Server
from tests.waiting import wait_for, wait_until
from tests.web.served import serve

ROOT = Path(__file__).parents[2]
PUBLISHED = json.loads((ROOT / "examples" / "published.json").read_text())
SMALL = {"img_width": 512, "img_height": 512, "num_inference_steps": 20}
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_vendors_package_runs_asynchronously(server: Server) -> None:
    client = segmind.SegmindClient(api_key=server.key, base_url=f"{server.url}/v1", timeout=100)
    done = client.run("sd1.5-rpg", **{**PUBLISHED, **SMALL, "samples": 2})
    assert done["status"] == "COMPLETED"
    assert done["seeds"] == [PUBLISHED["seed"], PUBLISHED["seed"] + 1]
    for url in done["images"]:
        answer = httpx.get(url, headers=server.headers, timeout=100)
        assert Image.open(io.BytesIO(answer.content)).size == (512, 512)


@pytest.mark.slow
def test_openais_package_draws_and_edits(server: Server) -> None:
    with openai.OpenAI(api_key=server.key, base_url=f"{server.url}/v1", timeout=100) as client:
        drawn = client.images.generate(
            prompt=PUBLISHED["prompt"], size="256x320", extra_body={"seed": PUBLISHED["seed"]}
        )
        data = base64.b64decode(drawn.data[0].b64_json)
        before = np.asarray(Image.open(io.BytesIO(data)))
        mask = np.full((320, 256), 255, np.uint8)
        mask[:128] = 0
        edited = client.images.edit(
            image=("a.png", data), mask=("m.png", clear(mask)), prompt="a dragon in the sky",
            size="256x320",
        )  # fmt: skip
    assert before.shape == (320, 256, 3)
    after = np.asarray(Image.open(io.BytesIO(base64.b64decode(edited.data[0].b64_json))))
    assert np.array_equal(after[128:], before[128:])
    assert not np.array_equal(after[:128], before[:128])


def clear(alpha: np.ndarray) -> bytes:
    """A PNG that is transparent where ``alpha`` is 0."""
    picture = Image.new("RGBA", alpha.shape[::-1], "white")
    picture.putalpha(Image.fromarray(alpha))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.slow
def test_a_client_of_automatic1111_draws_and_paints_on(server: Server) -> None:
    api = webuiapi.WebUIApi(baseurl=f"{server.url}/sdapi/v1", username="me", password=server.key)
    small = {"width": 256, "height": 256}
    drawn = api.txt2img(
        prompt="a mage", seed=1, steps=10, sampler_name="DPM++ 2M", batch_size=2, **small
    )
    assert [image.size for image in drawn.images] == [(256, 256)] * 2
    assert drawn.info["all_seeds"] == [1, 2]
    assert drawn.info["adjustments"] == []
    again = api.img2img(images=[drawn.images[0]], prompt="a mage", steps=10, **small,
                        denoising_strength=0.4, seed=9)  # fmt: skip
    first, second, third = (np.asarray(image, float) for image in (*drawn.images, again.images[0]))
    # What starts from a picture stays nearer to it than another seed's picture comes.
    assert np.abs(third - first).mean() < np.abs(second - first).mean()
    api.session.close()


def draw_show_and_replay(client: limner.Client, folder: Path) -> None:
    seen: list[limner.client.Progress] = []
    [picture] = client.draw(
        "a knight", seed=3, steps=10, width=256, height=256, exact=True, on_progress=seen.append
    )
    again = client.replay(picture)
    assert any(progress.preview for progress in seen)
    assert again.identical, again.text
    receipt = read_metadata(picture.save(folder / "a.webp").read_bytes()).receipt
    assert receipt == picture.receipt


class EmbeddedEngine(ThreadEngine):
    """With the embedded model, in this process."""

    def __init__(self) -> None:
        super().__init__(Loader(device="cpu", dtype="float32", max_rows=4).load)

    def wait_ready(self) -> EmbeddedEngine:
        wait_until(lambda: self.status().ready)
        return self


@pytest.mark.slow  # over a socket; tests/test_client.py has the client's calls
def test_the_python_client_draws_shows_and_replays(tmp_path: Path) -> None:
    with (
        serve(tmp_path / "data", engine=EmbeddedEngine()) as running,
        limner.Client(running.url, running.key) as client,
    ):
        draw_show_and_replay(client, tmp_path)


@pytest.mark.slow
def test_it_does_with_a_server_of_its_own(server: Server, tmp_path: Path) -> None:
    with limner.Client(server.url, server.key) as client:
        draw_show_and_replay(client, tmp_path)


@pytest.mark.slow
def test_the_printed_curl_draws_when_pasted(server: Server, tmp_path: Path) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    command = r"curl -o knight\.jpg(?s:.*?)}'"  # printed a moment after the server is ready
    printed = wait_for(lambda: re.search(command, server.said()), bool)
    subprocess.run(["sh", "-c", printed[0]], cwd=tmp_path, check=True, capture_output=True)
    assert Image.open(tmp_path / "knight.jpg").size == (512, 768)


@pytest.mark.slow
def test_exact_pictures_repeat_to_the_bit_over_http(server: Server) -> None:
    body = {"prompt": "a mage", "seed": 2**40, "exact": True, "output_format": "png", **SMALL}
    first, second = (
        httpx.post(f"{server.url}/v1/sd1.5-rpg", json=body, headers=server.headers, timeout=100)
        for _ in range(2)
    )
    assert first.status_code == 200, first.text
    assert first.content == second.content
