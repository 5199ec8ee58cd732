"""The commands of the README and of every page run as written, in a clone after ``make serve``."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
import typer

from limner.cli.main import typer_app
from tests.e2e import servers
from tests.engine.detecting import making

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES.remove(ROOT / "docs" / "log.md")  # what was run once, on some day
LIMNER = ".venv/bin/limner"

# What is not run here, by its beginning, and why not.
NOT_RUN = {
    "make serve": "installs what all other commands run in",
    "make test": "is what runs here",
    "make lint": "is a step of its own",
    "make examples": "draws for minutes, into the clone",
    "make squire": "paints and trains for hours",
    ".venv/bin/python -m training": "needs what was trained for hours",
    ".venv/bin/python -m bench": "draws at full size for minutes, with gigabytes",
    ".venv/bin/python examples/styles.py": "draws for minutes, into the clone",
    "python3 -m venv": "makes the environment anew",
    ".venv/bin/pip": "downloads from a package index",
    "pip": "downloads from a package index",
    f"{LIMNER} serve": "stays: the server of these tests is one",
    "sudo": "is for a machine with a user limner",
    "createdb": "is for a database server of one's own",
    "pg_dump": "is for a database server of one's own",
    "ray start": "is for machines of one's own",
    "export RAY_AUTH": "is for machines of one's own",
    "serve deploy": "is for a Ray cluster of one's own",
    "sqlite3": "is for a server in /var/lib/limner",
    "rsync": "is for a server in /var/lib/limner",
    "chown": "is for a server in /etc/limner.toml",
    "curl -o castle.jpg": "fetches pictures from example.org",
    "curl -o knight.png": "needs models of one's own",
    f'{LIMNER} grid "a knight" --x model=': "needs models of one's own",
    f"{LIMNER} pictures move --pictures": "is for a bucket of one's own",
}
STARTS = re.compile(r"(\.venv/bin/\S+|limner|python3?|pip|make|sudo|curl|chown) ")
# In running text a command is named by its words, its flags and CAPITALS for what one gives it.
NAME = re.compile(r"limner( ([a-z]+|\||--?[a-z-]+|[A-Z][A-Z_]*))*")
GROUP: click.Command = typer.main.get_command(typer_app)


def in_blocks(page: str) -> Iterator[str]:
    """The commands of shell blocks: in a console's those behind ``$``, where it has any."""
    for block in re.findall(r"```(?:sh|console)\n(.*?)```", page, re.S):
        lines = block.splitlines(keepends=True)
        shows = any(line.startswith("$ ") for line in lines)
        text = "".join(line[2:] for line in lines if line.startswith("$ ")) if shows else block
        command = ""
        for line in text.splitlines(keepends=True):
            command += line
            if is_whole(command):
                yield command.strip()
                command = ""


def is_whole(command: str) -> bool:
    try:
        return bool(shlex.split(command)) and not command.rstrip().endswith("\\")
    except ValueError:  # a quotation goes on in the next line
        return False


def in_text(page: str) -> Iterator[str]:
    """The commands in running text."""
    page = re.sub(r"```.*?```", "", page, flags=re.S)
    yield from (code for code in re.findall(r"`([^`\n]+)`", page) if STARTS.match(code))


def commands() -> dict[str, Path]:
    """Every command and a page that has it."""
    found = {}
    for path in PAGES:
        page = path.read_text("utf-8")
        named = [code for code in in_text(page) if not NAME.fullmatch(code)]
        found |= dict.fromkeys([*in_blocks(page), *named], path)
    return found


COMMANDS = commands()
# What docs/prompts.md explains is compared with its print elsewhere: one of those is enough.
EXPLAINED = [command for command in COMMANDS if command.startswith(f"{LIMNER} explain")]
RUN = [
    command
    for command in COMMANDS
    if not command.startswith(tuple(NOT_RUN)) and command not in EXPLAINED[1:]
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_begins_with_something_a_clone_has(command: str) -> None:
    first, *words = shlex.split(command, comments=True)
    assert first not in ("limner", "python"), f"{COMMANDS[command].name}: write .venv/bin/{first}"
    if first == LIMNER:
        understood(words)
    elif first == ".venv/bin/python" and words[0] == "-m":
        assert find_spec(words[1])
    elif first == ".venv/bin/python":
        assert (ROOT / words[0]).is_file()
    elif first == "make":
        targets = [word for word in words if "=" not in word]
        made = subprocess.run(["make", "--dry-run", *targets], cwd=ROOT, capture_output=True)
        assert made.returncode == 0, made.stderr


def understood(words: list[str]) -> None:
    """The command line knows the command, its options and their number."""
    command = GROUP
    while words and words[0] in (members := getattr(command, "commands", {})):
        command, words = members[words[0]], words[1:]
    command.make_context(command.name, words)


def test_every_exception_is_still_needed() -> None:
    for beginning in NOT_RUN:
        assert any(command.startswith(beginning) for command in COMMANDS), beginning


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """Serves on the data folder that commands without ``--data-dir`` find in this home."""
    home = tmp_path_factory.mktemp("home")
    data = home / ".local" / "share" / "limner"
    data.parent.mkdir(parents=True)
    running = servers.start(data, "--open-sdapi")
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module")
def clone(server: servers.Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a clone, and those of one's own that the pages speak of."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / ".venv").symlink_to(sys.prefix)
    for name in ("examples", "limner", "docs"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "requests.jsonl").write_text('{"prompt": "a mage", "steps": 2}\n')
    (folder / "script.txt").write_text("She leaves. | village background, day\n")
    run(f"{LIMNER} draw 'a knight' --seed 7 --steps 4 -o knight.png", folder, server)
    for name in ("castle.png", "sprite.png", "party.png", "face.png"):
        (folder / name).write_bytes((folder / "knight.png").read_bytes())
    (folder / "models").mkdir()
    making.yolo(folder / "models" / "face_yolov8n.onnx")
    return folder


@pytest.fixture(scope="module")
def admin_key(clone: Path, server: servers.Server) -> str:
    command = f"{LIMNER} keys create --name admin --scopes draw,read,admin"
    return run(command, clone, server).strip()


def run(command: str, folder: Path, server: servers.Server, admin_key: str = "") -> str:
    """What a command prints; its placeholders are this server's address and key."""
    command = command.replace("http://127.0.0.1:8420", server.url).replace("SG_...", server.key)
    home = server.data_dir.parents[2]
    mine = {"HOME": str(home), "LIMNER_KEY": server.key, "ADMIN_KEY": admin_key}
    kept = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS") if name in os.environ}
    done = subprocess.run(
        ["sh", "-ec", command], cwd=folder, env=kept | mine, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("command", RUN)
def test_a_command_runs_as_written(
    command: str, clone: Path, server: servers.Server, admin_key: str
) -> None:
    printed = run(command, clone, server, admin_key)
    if command.startswith("curl") and "-o" in command:
        assert (clone / "knight.jpg").read_bytes().startswith(b"\xff\xd8\xff")
    elif "curl" in command:
        assert '"error"' not in printed
