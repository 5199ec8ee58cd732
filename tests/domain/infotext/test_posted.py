"""Settings texts in the manner in which people post them, each read rightly.

``posted.txt`` holds them, each behind a line of JSON with what it means: fields of the request
(null: absent), ``files`` as they are told, words of ``missing`` and ``differs``, or of a refusal.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limner.domain.infotext import meaning, reading
from limner.errors import InvalidInput
from limner.models.listing import Library
from limner.settings import Settings
from limner.usecases.pictures.foreign import FileFinder, settle
from limner.web.native import foreign

TEXTS = (Path(__file__).parent / "posted.txt").read_text(encoding="utf-8").split("=====\n")
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
    values = foreign.as_read(settled, {}, Settings(data_dir=tmp_path)).told()["settings"]
    for kind in ("missing", "differs"):
        for words in meant.pop(kind, ()):
            assert any(words in sentence for sentence in getattr(settled, kind)), kind
    if (named := meant.pop("files", None)) is not None:
        assert [str(each) for each in meaning.mean(reading.read(text)).files] == named
    if meant.pop("thresholding", False):
        assert values["thresholding"] is not None
    assert {name: values.get(name) for name in meant} == meant


def test_few_are_refused() -> None:
    assert len(TEXTS) >= 75
    assert sum('"refused"' in text.partition("\n")[0] for text in TEXTS) <= REFUSED_MOST


@pytest.mark.parametrize(
    "text",
    ["Steps: ", "Hashes: {", "a: [", "<lora:" * 9, "|" * 40, '"', "\ufeff", "Steps: 1, " * 9],
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
