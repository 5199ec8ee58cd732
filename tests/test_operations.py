"""docs/operations.md says what the code does: its figures, settings, commands and calls exist."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families
from typer.main import get_command

from limner.cli.main import typer_app
from limner.engine.batching.client import CacheStats, EngineStats, EngineStatus
from limner.engine.batching.fake import FAKE_MODEL
from limner.settings import Settings
from limner.web.access.auth import scope_of
from tests.web import fakes
from tests.web.conftest import app, client, services, settings

__all__ = ["app", "client", "services", "settings"]

PAGE = (Path(__file__).parents[1] / "docs" / "operations.md").read_text()


def test_every_figure_is_described_and_every_described_one_is_there(client, services):
    stats = EngineStats(caches={"prompts": CacheStats(1, 2, 3)})
    services.engine.current = EngineStatus(True, "", FAKE_MODEL, stats=stats)
    client.post("/v1/sd1.5-rpg", json={})
    text = client.get("/metrics", headers={"x-api-key": fakes.ADMIN}).text
    shown = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in text_string_to_metric_families(text)
    }
    shown = {name for name in shown if not name.endswith("_created")}
    described = set(re.findall(r"`(limner_\w+)[`{]", PAGE))
    assert described == shown


def test_every_setting_named_exists():
    named = set(re.findall(r"`(\w+_\w+)`", PAGE)) | set(re.findall(r"LIMNER_(\w+)=", PAGE))
    other = {"spend_cap", "stored_as", "left_out", "request_id", "max_connections", "data_dir"}
    named = {name.lower() for name in named if not name.lower().startswith(("limner_", "aws_"))}
    assert named - other <= set(Settings.model_fields)


def commands():
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["limner"]:
                yield words[1:]


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_is_one(words):
    """Parsed with its options, and not run."""
    result = CliRunner().invoke(get_command(typer_app), [*words, "--help"])
    assert result.exit_code == 0, result.output
    for option in (word for word in words if word.startswith("--")):
        assert option in result.output


def test_every_call_is_served(app, client):
    paths = {route.path for route in app.routes}
    named = set(re.findall(r"http://127\.0\.0\.1:8420(/[\w/]+)", PAGE))
    assert named <= paths
    assert {scope_of("GET", path) for path in named} == {"admin"}
