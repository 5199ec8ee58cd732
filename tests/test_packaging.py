"""``pip install limner`` is the client; the server and the terminal are ``limner[server]``."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import limner

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[ ]", each)[0] for each in requirements}


CORE = names(PROJECT["dependencies"])
SERVER = names(PROJECT["optional-dependencies"]["server"])
MODULES = {"python-multipart": "python_multipart", "prometheus-client": "prometheus_client"}
HIDING = f"""
import sys
sys.modules.update(dict.fromkeys({sorted(MODULES.get(name, name) for name in SERVER)}))
"""


def alone(code: str) -> subprocess.CompletedProcess[str]:
    """Run code where nothing of the extra ``server`` can be imported."""
    command = [sys.executable, "-c", HIDING + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_core_is_small() -> None:
    assert {"httpx", "numpy", "pillow", "pydantic"} == CORE
    assert {"torch", "fastapi", "sqlalchemy", "typer"} <= SERVER
    assert not CORE & SERVER


def test_the_client_works_with_the_core_alone(tmp_path: Path) -> None:
    picture = ROOT / "docs" / "images" / "knight.png"
    done = alone(f"""
import asyncio, limner
from decimal import Decimal
from limner import imaging
limner.Client("http://127.0.0.1:1", "SG_0", retries=0).close()
asyncio.run(limner.AsyncClient("http://127.0.0.1:1", "SG_0").close())
png = open({str(picture)!r}, "rb").read()
receipt = imaging.read_metadata(png).receipt
drawn = limner.Picture("pic_1", "req_1", 0, 1, 512, 512, Decimal(1), (), png, receipt)
drawn.save({str(tmp_path / "a.jpg")!r})
drawn.save({str(tmp_path / "a.webp")!r})
print(drawn.image.size, limner.__version__)
""")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"(512, 512) {limner.__version__}\n"


def test_the_command_says_what_to_install() -> None:
    done = alone("from limner.__main__ import main; main()")
    assert done.returncode == 1
    assert re.fullmatch(r"limner: only .* come with: pip install 'limner\[server\]'\n", done.stderr)


def test_the_command_is_whole_with_the_server() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "limner", "keys"], capture_output=True, text=True, timeout=120
    )
    assert "create" in done.stdout + done.stderr


def test_there_is_one_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", limner.__version__)
    assert PROJECT["dynamic"] == ["version"]
