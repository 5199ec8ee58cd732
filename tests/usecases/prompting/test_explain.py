"""Explain: its JSON, its tokens against transformers' tokenizer, its terminal view."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.clip.tokenization_clip import CLIPTokenizer
from typer.testing import CliRunner

from limner.cli.explain import explain as command
from limner.domain.attention import Span
from limner.domain.chunks import cut
from limner.domain.embeddings import Embedding
from limner.domain.params import Generation, Source
from limner.engine.checkpoints.layouts import EMBEDDED, TOKENIZER
from limner.engine.sampling.guidance import count_rows
from limner.errors import InvalidInput
from limner.usecases.prompting.explain import check, explain, explain_generation, tokenize
from limner.usecases.prompting.vocabulary import of_model


@pytest.fixture(scope="module")
def reference() -> Callable[[list[str]], list[list[int]]]:
    tokenizer = CLIPTokenizer.from_pretrained(TOKENIZER, local_files_only=True)
    return lambda texts: tokenizer(texts, add_special_tokens=False)["input_ids"]


KNOWN = [
    "",
    "A Knight's SWORD, don't!!",
    "naïve café ﬁne  two\n\ttabs",
    "日本語 🐉🔥 мечи",
    "x<|endoftext|>y<|startoftext|>",
    "1234 0.5 a_b --- ...",
    "\x00\u2003\x1c",
]


def test_tokens_are_those_of_transformers(
    reference: Callable[[list[str]], list[list[int]]],
) -> None:
    assert tokenize(KNOWN) == reference(KNOWN)


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=20))
@settings(max_examples=50, deadline=None)
def test_tokens_of_any_text(
    reference: Callable[[list[str]], list[list[int]]], texts: list[str]
) -> None:
    assert tokenize([*texts, "a"]) == reference([*texts, "a"])


def test_the_whole_answer() -> None:
    assert explain("a (knight:1.5) [dawn:dusk:0.5] <lora:hero> AND sky :0.5", 10) == {
        "dialect": "automatic1111",
        "steps": 10,
        "prompt": "a (knight:1.5) [dawn:dusk:0.5] <lora:hero> AND sky :0.5",
        "canonical": "<lora:hero:te=1.0:unet=1.0>"
        "[a (knight:1.5) dawn:a (knight:1.5) dusk:5] AND[ sky: sky:5] :0.5",
        "schedule": [
            {
                "until_step": 5,
                "branches": [
                    {
                        "weight": 1.0,
                        "text": "a (knight:1.5) dawn",
                        "spans": [["a ", 1.0], ["knight", 1.5], [" dawn", 1.0]],
                    },
                    {"weight": 0.5, "text": " sky", "spans": [[" sky", 1.0]]},
                ],
            },
            {
                "until_step": 10,
                "branches": [
                    {
                        "weight": 1.0,
                        "text": "a (knight:1.5) dusk",
                        "spans": [["a ", 1.0], ["knight", 1.5], [" dusk", 1.0]],
                    },
                    {"weight": 0.5, "text": " sky", "spans": [[" sky", 1.0]]},
                ],
            },
        ],
        "chunks": [
            [["a</w>", 1.0], ["knight</w>", 1.5], ["dawn</w>", 1.0]],
            [["sky</w>", 1.0]],
        ],
        "adapters": [{"name": "hero", "text_encoder": 1.0, "unet": 1.0}],
        "embeddings": [],
        "unlearned": None,
        "adjustments": ["'<lora:hero>' draws with the LoRA that it names, and is no text."],
    }


@pytest.mark.parametrize(
    ("tag", "sentence"),
    [
        ("<lora:night:strong>", "'strong' is no strength of a LoRA; a number is"),
        ("<lora:night:0.5:much>", "'0.5:much' is no strength of a LoRA"),
        ("<lora::1>", "it names no LoRA"),
        ("<hypernet:night:1>", "it is no adapter that Limner knows"),
    ],
)
def test_a_tag_that_cannot_be_read_is_told(tag: str, sentence: str) -> None:
    (told,) = explain(f"a {tag}", 20)["adjustments"]
    assert sentence in told
    assert tag in told


OWN = Embedding(name="EasyNegative", sha256="0" * 64, vectors=8)


@pytest.mark.parametrize("named", ["easynegative", "embedding:EasyNegative"])
def test_an_embedding_has_its_name_in_its_first_place_and_nothing_in_the_others(
    named: str,
) -> None:
    told = explain(f"a ({named}:1.2), sky", 20, embeddings=[OWN], known=frozenset({"sky"}))
    (chunk,) = told["chunks"]
    first = [f"{named.lower()}</w>", 1.2]
    assert chunk == [["a</w>", 1.0], first, *[["", 1.2]] * 7, [",</w>", 1.0], ["sky</w>", 1.0]]
    assert told["embeddings"] == [OWN.model_dump()]
    assert told["unlearned"] == []
    assert told["adjustments"] == []


def test_one_that_the_prompt_does_not_name_is_not_told() -> None:
    assert explain("a knight", 20, embeddings=[OWN])["embeddings"] == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("easynegative", ["EasyNegative"]),
        ("(bad-hands-5:1.2), BADHANDV4", ["bad-hands-5", "badhandv4"]),
        ("[a:ng_deepnegative_v1_75t:0.5]", ["ng_deepnegative_v1_75t"]),
        ("verybadimagenegative_v1.3, FastNegativeV2", None),
        ("easynegativev2", ["EasyNegativeV2"]),
        ("embedding:night sky", ["night"]),
        ("a bad hand, an easy negative", []),
    ],
)
def test_names_of_the_trade_are_told_where_they_are_only_words(
    text: str, names: list[str] | None
) -> None:
    told = explain(text, 20, negative=True)["adjustments"]
    for name in names if names is not None else text.split(", "):
        assert any(f"{name!r} was read as plain words" in each for each in told)
    assert len(told) == len(text.split(", ") if names is None else names)


def test_chunks_hold_no_padding_and_are_cut_where_the_engine_cuts() -> None:
    words = "word " * 60 + "," + " cape" * 20
    assert [len(chunk) for chunk in explain(words, 20)["chunks"]] == [61, 20]
    assert [len(c) for c in explain("a BREAK red cape", 20)["chunks"]] == [1, 2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" AND ".join("a" * 9), "9 prompts are composed with AND; a request may have 8"),
        (" BREAK ".join("a" * 9), "9 chunks of 75 tokens long; a request may have 8"),
        ("[a|b|c|d|e|f|g|h|i|j|k]" + " BREAK x" * 15, "176 chunks of 75 tokens long together"),
        ("a AND b :-1", "add up to 0"),
    ],
)
def test_what_a_request_would_be_refused_for_is_told(text: str, words: str) -> None:
    assert any(words in sentence for sentence in explain(text, 20)["adjustments"])


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("prompt", " AND ".join("a" * 9), "prompt composes 9 prompts with AND; at most 8"),
        ("negative_prompt", " BREAK ".join("a" * 9), "negative_prompt is 9 chunks"),
        ("prompt", f"[{'|'.join('abcdefghijklmnopqrstu')}]" + " BREAK x" * 7, "at most 160 chunks"),
    ],
)
def test_what_the_engine_would_refuse_is_refused_before(field: str, text: str, words: str) -> None:
    asked = Generation(**{"prompt": "x", "steps": 30, "seed": 1, field: text})
    with pytest.raises(InvalidInput, match=words) as refused:
        check(asked)
    assert refused.value.field == field
    with pytest.raises(InvalidInput) as by_the_engine:
        count_rows(asked, Tokens())
    assert str(by_the_engine.value) == str(refused.value)


class Tokens:
    """As much of a ``Conditioner`` as counting needs."""

    def count_chunks(self, spans: tuple[Span, ...], _: object) -> int:
        return len(cut(spans, tokenize))


def test_a_generation_is_read_for_the_steps_that_run() -> None:
    source = Source(sha256="0" * 64, strength=0.5)
    generation = Generation(
        prompt="[a:b:0.5]", negative_prompt="c AND d", steps=20, seed=1, source=source
    )
    explained = explain_generation(generation)
    assert [entry["until_step"] for entry in explained["schedule"]] == [5, 10]
    assert len(explained["negative"]["schedule"][0]["branches"]) == 1


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(command)
    return app


def test_the_terminal_prints_the_same_json(app: typer.Typer) -> None:
    text = "a [b|c] \\d"
    done = CliRunner().invoke(app, ["--steps", "7", "--json", text])
    assert done.exit_code == 0
    assert json.loads(done.stdout) == explain(text, 7, known=of_model(EMBEDDED))


def test_words_that_squire_was_never_taught_are_named(app: typer.Typer) -> None:
    text = "a red imp BREAK <lora:hero:1> (gremlin:1.2) [knight:goblet:0.5]"
    assert explain(text, 20, known=of_model(EMBEDDED))["unlearned"] == ["imp", "gremlin", "goblet"]
    shown = CliRunner().invoke(app, [text]).stdout
    assert "Never learned by this model: imp, gremlin, goblet\n" in shown
    assert "Never" not in CliRunner().invoke(app, ["a red knight"]).stdout


def test_of_another_checkpoint_nothing_is_said(app: typer.Typer, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["--json", "--model", str(tmp_path), "an imp"])
    assert json.loads(done.stdout)["unlearned"] is None


def test_the_terminal_shows_schedule_chunks_and_adjustments(app: typer.Typer) -> None:
    text = "a (knight:1.5) [dawn:dusk:0.5] BREAK \\[bold\\] AND sky :0.5"
    done = CliRunner().invoke(app, ["--steps", "10", text])
    assert done.exit_code == 0
    assert "steps 1 to 5: a knight×1.5 dawn BREAK [bold]" in done.stdout
    assert "steps 6 to 10, weight 0.5:  sky" in done.stdout
    assert "Chunk 1: 3 of 75 tokens" in done.stdout
    assert "Adjustments" not in done.stdout
    assert "never closed" in CliRunner().invoke(app, ["(a"]).stdout


def test_explaining_needs_no_torch() -> None:
    code = (
        "import sys; from limner.usecases.prompting.explain import explain; explain('a (b)', 20); "
        "print('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
