"""Settings texts in the manner in which people post them, each read rightly.

``posted.txt`` and ``posted_elsewhere.txt`` hold them, each behind a line of JSON with what it
means: fields of the request (null: absent), ``files`` as they are told, words of ``missing`` and
``differs``, or of a refusal.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from limner.domain.infotext import meaning, reading
from limner.errors import InvalidInput
from limner.models.listing import Library
from limner.settings import Settings
from limner.usecases.pictures.foreign import FileFinder, settle
from limner.web.native import foreign
from limner.web.reading import form

TEXTS = [
    text
    for name in ("posted.txt", "posted_elsewhere.txt")
    for text in (Path(__file__).parent / name).read_text(encoding="utf-8").split("=====\n")
]
REFUSED_MOST = 5


def cases() -> list[Any]:
    parted = (text.partition("\n") for text in TEXTS)
    return [pytest.param(json.loads(head), text, id=text[:40]) for head, _, text in parted]


@pytest.mark.parametrize(("meant", "text"), cases())
def test_a_posted_text_is_read_rightly(meant: dict[str, Any], text: str, tmp_path: Path) -> None:
    settled = settle(text, FileFinder(Library(), None))
    refused = meant.pop("refused", None)
    if refused is not None:
        with pytest.raises(InvalidInput, match=refused):
            foreign.as_read(settled, {}, Settings(data_dir=tmp_path))
        return
    read = foreign.as_read(settled, {}, Settings(data_dir=tmp_path))
    asyncio.run(form.plan(read.asked, Settings(data_dir=tmp_path)))
    values = json.loads(json.dumps(read.told()))["settings"]  # as an answer says it
    for kind in ("missing", "differs"):
        for words in meant.pop(kind, ()):
            assert any(words in sentence for sentence in getattr(settled, kind)), kind
    if (named := meant.pop("files", None)) is not None:
        assert [str(each) for each in meaning.mean(reading.read(text)).files] == named
    if meant.pop("thresholding", False):
        assert values["thresholding"] is not None
    assert {name: values.get(name) for name in meant} == meant


def test_few_are_refused() -> None:
    assert len(TEXTS) >= 170
    assert sum('"refused"' in text.partition("\n")[0] for text in TEXTS) <= REFUSED_MOST


@pytest.mark.parametrize(
    "text",
    [
        "Steps: ",
        "Hashes: {",
        "a: [",
        "<lora:" * 9,
        "|" * 40,
        '"',
        "\ufeff",
        "Steps: 1, " * 9,
        "```\n",
        "> ",
    ],
)
def test_odd_texts_are_read_or_refused(text: str) -> None:
    for each in (
        text,
        f"x\nSteps: 1, Sampler: Euler, Seed: 3, {text}",
        f"{text}\nSteps: 1, A: b, C: d",
    ):
        read = reading.read(each)
        if read.pairs:
            assert meaning.mean(read).body["prompt"] is not None
        else:
            with pytest.raises(InvalidInput):
                meaning.mean(read)


@pytest.mark.parametrize("name", ["Steps", "CFG scale", "Hires steps", "Schedule type", "ENSD"])
def test_values_of_any_length_are_told_in_short(name: str) -> None:
    text = f"x\nSteps: 2, Sampler: DDIM, Hires upscale: 2, {name}: {'9' * 9_000}, Seed: 1"
    text += ", Size: 64x64, Version: v1.9.0"
    draft = meaning.mean(reading.read(text.replace("Steps: 2, ", "", int(name == "Steps"))))
    assert any(sentence.startswith(f"{name}: 999") for sentence in draft.differs)
    assert max(map(len, draft.differs)) < 300


PAIRS = "\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512"


@pytest.mark.parametrize(
    "text",
    [
        "```\n" + "\n " * 50_000,
        "> " * 50_000,
        "**" * 50_000,
        "&lt;lora:" * 10_000,
        "a" + "\n" * 99_000 + "b",
        "a" + "\n" * 99_000 + "b" + PAIRS,
        "- " * 49_000 + PAIRS.replace(",", ";"),
        "x" + PAIRS.replace(",", " ," + " " * 20_000),
        '{"a":' * 20_000 + "}",
        "x" + PAIRS + ", Hires sampler: " + "a_ " * 30_000 + ", Hires upscale: 2",
        "x" + PAIRS.replace("Euler a", "a_ " * 30_000),
        "x" + PAIRS + ", Lora hashes: " + '"' + "a: 0123456789, " * 6_000 + '"',
    ],
    ids=range(12),
)
def test_a_text_takes_time_in_proportion_to_it(text: str) -> None:
    """``settle`` runs beside other requests; empty lines alone took two minutes once."""
    begun = time.process_time()
    read = reading.read(text)
    if read.pairs:
        meaning.mean(read)
    assert time.process_time() - begun < 5
