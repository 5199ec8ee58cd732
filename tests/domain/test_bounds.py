"""Text of strangers is read in proportion to its length: counted in work, not in seconds."""

from __future__ import annotations

import pytest

from limner.domain import attention, editing, prompt
from limner.domain.limits import check_prompts
from limner.errors import InvalidInput
from limner.web.reading.fields import _DECIMAL, Number


def test_alternations_that_never_repeat_are_not_all_weighed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """2, 3, 5 and 7 alternatives show 150 different texts of 9,000 characters."""
    weighed: list[int] = []
    weigh = attention.weigh
    monkeypatch.setattr(prompt, "weigh", lambda text: (weighed.append(len(text)), weigh(text))[1])
    text = "[a|b][c|d|e][f|g|h|i|j][k|l|m|n|o|p|q]" + "()" * 4500
    read = prompt.parse(text, 150)
    assert sum(weighed) <= editing.SHOWN_MAX
    assert read.too_much_editing
    assert [entry.branches[0].text for entry in read.entries] == [text]
    with pytest.raises(InvalidInput, match="prompt changes too much over the steps: at most 300"):
        check_prompts({"prompt": read}, lambda _: 1)


def test_short_prompts_may_change_at_every_step() -> None:
    text = "[a|b][c|d|e][f|g|h|i|j][k|l|m|n|o|p|q] " + "a knight in red armour, " * 10
    read = prompt.parse(text, 150)
    assert not read.too_much_editing
    assert len({entry.branches[0].text for entry in read.entries}) == 150


def test_too_many_brackets_are_plain_text_and_told() -> None:
    read = prompt.parse("[a|b]" * 301, 20)
    assert read.too_much_editing
    assert any("at most 300 such brackets" in told for told in read.adjustments)
    assert not prompt.parse("[a|b]" * 300, 20).too_much_editing


@pytest.mark.parametrize(
    "text",
    ["1", "1.", "1.5", ".5", "-.5e3", " 1e-3 ", "1" * 2000, "", ".", "1.5.", "e3", "1x", "+"],
)
def test_numbers_are_what_they_were(text: str) -> None:
    """A number is digits with at most one point among them, with an exponent or without."""
    digits, _, exponent = text.strip().lower().partition("e")
    whole, _, part = digits.lstrip("+-").partition(".")
    number = (whole + part).isdigit() and (not exponent or exponent.lstrip("+-").isdigit())
    assert bool(_DECIMAL.fullmatch(text)) is number
    assert bool(editing._WHEN.fullmatch(text)) is number


def test_long_digits_end_in_a_sentence_at_once() -> None:
    """Quadratic reading of a megabyte would outlast the test's time limit by days."""
    with pytest.raises(InvalidInput, match="guidance is"):
        Number(0, 1).read("guidance", "1" * 1_000_000 + "x")
    assert not editing._WHEN.fullmatch("1" * 1_000_000 + "x")
