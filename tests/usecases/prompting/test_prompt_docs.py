"""docs/prompts.md and docs/styles.md: every example is run, every list compared."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from limner.cli.explain import explain as command
from limner.domain.params import Generation
from limner.domain.styles import KINDS, StyleMix
from limner.usecases.prompting import templates
from limner.usecases.prompting.catalogue import FILES, load
from limner.usecases.prompting.explain import explain
from limner.usecases.prompting.styling import expand

DOCS = Path(__file__).parents[3] / "docs"
PROMPTS = (DOCS / "prompts.md").read_text("utf-8")
STYLES = (DOCS / "styles.md").read_text("utf-8")
COMMANDS = re.findall(r"```console\n\$ \.venv/bin/(limner explain .*)\n([\s\S]*?)```", PROMPTS)
MIXES = re.findall(r"```json\n([\s\S]*?)```\n\n```text\n([\s\S]*?)\n```", STYLES)


@pytest.mark.parametrize(("line", "shown"), COMMANDS, ids=[line for line, _ in COMMANDS])
def test_explain_prints_what_the_page_shows(line: str, shown: str) -> None:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner(env={"COLUMNS": "80"}).invoke(app, shlex.split(line)[2:])
    assert done.exit_code == 0
    assert [text.rstrip() for text in done.stdout.splitlines()] == shown.splitlines()


def test_the_page_names_every_field_of_the_answer() -> None:
    (table,) = re.findall(r"\| field \| what it is \|\n\|---\|---\|\n((?:\|.*\n)+)", PROMPTS)
    assert re.findall(r"^\| `(\w+)`", table, re.M) == list(explain("a", 20))


def test_the_page_names_the_limits_of_templates() -> None:
    assert f"{templates.CHOICES_MAX} choices, nested ten deep" in PROMPTS
    assert templates.DEPTH_MAX == 10


@pytest.mark.parametrize(("body", "shown"), MIXES)
def test_a_mix_reads_as_the_page_shows(body: str, shown: str) -> None:
    fields = json.loads(body)
    mix = StyleMix.model_validate(fields.pop("style_mix"))
    template = fields.pop("template", False)
    variants = expand(Generation(**fields), load(), style_mix=mix, template=template)
    lines = [variant.generation.prompt for variant in variants]
    if negative := variants[0].generation.negative_prompt:
        lines.append(f"negative: {negative}")
    assert shown.splitlines() == lines


def test_the_page_lists_the_whole_catalogue() -> None:
    listed = re.findall(r"^### .*\n\n(.*)\.$", STYLES.split("## The catalogue")[1], re.M)
    assert [line.split(", ") for line in listed] == [list(load()[kind]) for kind in KINDS_IN_ORDER]


KINDS_IN_ORDER = [
    *("concept", "image_type", "direction", "mood"),
    *("colors", "artists", "movements", "preset"),
]


def test_the_page_names_the_files_and_its_own_example_loads(tmp_path: Path) -> None:
    assert set(KINDS_IN_ORDER) == set(KINDS)
    for name in FILES.values():
        assert f"`{name}.toml`" in STYLES
        assert f"`__{name}__`" in STYLES
    (example,) = re.findall(r"```toml\n# moods.toml\n([\s\S]*?)```", STYLES)
    (tmp_path / "moods.toml").write_text(example, "utf-8")
    assert {name: load(tmp_path)["mood"][name].text for name in tomllib.loads(example)} == {
        name: table["text"] for name, table in tomllib.loads(example).items()
    }
