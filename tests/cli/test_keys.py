"""``limner keys`` and ``limner credits``: what is printed, and mistakes in a sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from limner.cli.main import typer_app
from limner.errors import InvalidInput


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_DATA_DIR", str(tmp_path))


def limner(*words: str) -> Result:
    return CliRunner().invoke(typer_app, words)


def test_a_new_key_stands_alone_on_standard_output() -> None:
    made = limner("keys", "create", "--name", "me", "--credits", "0.5")
    assert re.fullmatch(r"SG_[0-9a-f]{32}\n", made.stdout)
    assert re.fullmatch(
        r"There was no database: a new, .* at sqlite:///.*limner\.db\.\n", made.stderr
    )
    assert limner("keys", "create", "--name", "you").stderr == ""
    listed = json.loads(limner("keys", "list", "--json").stdout)[0]
    assert (listed["name"], listed["available_micro"]) == ("me", 500_000)
    assert listed["hint"] == made.stdout[:7]
    assert made.stdout.strip() not in json.dumps(listed)


def test_credits_are_granted_shown_and_checked() -> None:
    limner("keys", "create", "--name", "me")
    assert limner("credits", "grant", "me", "2.5").stdout == "me has 2.5 credits.\n"
    shown = json.loads(limner("credits", "show", "--json").stdout)
    assert [each["available_micro"] for each in shown["accounts"].values()] == [2_500_000]
    assert limner("credits", "check").stdout == "The books are right.\n"
    assert json.loads(limner("credits", "check", "--json").stdout) == []


def test_a_limit_that_changed_is_named_as_it_was_given() -> None:
    limner("keys", "create", "--name", "me")
    limits = (
        "--spend-cap", "--expires-days", "--requests-per-minute", "--concurrency", "--models",
        "--adapters",
    )  # fmt: skip
    words = [word for limit in limits for word in (limit, "2")]
    told = limner("keys", "limit", "me", *words).stdout
    assert told.endswith(f" (me): {', '.join(limits)} changed.\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["keys", "create", "--name", ""], "--name is '';"),
        (["keys", "create", "--name", "caf\udce9"], "printable"),
        (["keys", "create", "--name", "x" * 201], "1 to 200"),
        (
            ["keys", "create", "--name", "x", "--credits", "ten"],
            "--credits: 'ten' is not an amount",
        ),
        (["keys", "create", "--name", "x", "--credits", "-1"], "must not be below 0"),
        (["keys", "create", "--name", "x", "--credits", "1e30"], "more than 1,000,000,000"),
        (["keys", "create", "--name", "x", "--concurrency", "0"], "--concurrency is 0"),
        (["credits", "grant", "x", "1e999999999"], "more than 1,000,000,000"),
    ],
)
def test_mistakes_get_a_sentence(words: list[str], sentence: str) -> None:
    error = limner(*words).exception
    assert isinstance(error, InvalidInput)
    assert sentence in str(error)


@pytest.mark.parametrize(
    "words",
    [
        ("limit", "me", "--expires-days", "1e300"),
        ("limit", "me", "--expires-days", "nan"),
        ("limit", "me", "--requests-per-minute", "99999999999"),
        ("limit", "me", "--concurrency", "0"),
        ("rotate", "me", "--grace-hours", "-1"),
        ("rotate", "me", "--grace-hours", "nan"),
    ],
)
def test_a_number_out_of_bounds_is_refused_with_the_bound(words: tuple[str, ...]) -> None:
    limner("keys", "create", "--name", "me")
    refused = limner("keys", *words)
    assert isinstance(refused.exception, InvalidInput)
    assert f"{words[2]} is " in str(refused.exception)
    assert limner("keys", "list").exit_code == 0
