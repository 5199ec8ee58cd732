"""Templates: what acts in them, what is text, and dynamicprompts as the oracle of choices."""

from __future__ import annotations

import contextlib
from random import Random

import pytest
from dynamicprompts.enums import SamplingMethod
from dynamicprompts.sampling_context import SamplingContext
from dynamicprompts.wildcards import WildcardManager
from hypothesis import given
from hypothesis import strategies as st

from limner.domain.templates import read
from limner.errors import InvalidInput

WILDCARDS = {"moods": ["calm", "wild"], "colors": ["red, warm", "50% grey"]}


def readings(text: str, tries: int = 60) -> set[str]:
    template = read("prompt", text, WILDCARDS)
    return {template.draw(Random(seed)) for seed in range(tries)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<lora:a__b:0.7> {x|y}", {"<lora:a__b:0.7> x", "<lora:a__b:0.7> y"}),
        ("<lora:a__b__c:1> {x|x}", {"<lora:a__b__c:1> x"}),
        ("a__b {x|y}", {"a__b x", "a__b y"}),
        ("100% {a|b}", {"100% a", "100% b"}),
        ("100%{a|50%}", {"100%a", "100%50%"}),
        ("$5 {a|b}", {"$5 a", "$5 b"}),
        ("costs ${5|10}", {"costs $5", "costs $10"}),
        ("a // b /* c */ #d {x|y}", {"a // b /* c */ #d x", "a // b /* c */ #d y"}),
        ("{!a|@b|~c}", {"!a", "@b", "~c"}),
        ("a_____b {x|x}", {"a_____b x"}),
        ("x} | {a|b}", {"x} | a", "x} | b"}),
        (r"\{a\|b\} \(c\) {x|y}", {r"\{a\|b\} \(c\) x", r"\{a\|b\} \(c\) y"}),
        (r"\\{a|b}", {r"\\a", r"\\b"}),
        ("{(a:1.2)|[b:c:0.5]}", {"(a:1.2)", "[b:c:0.5]"}),
        ("", {""}),
    ],
)
def test_everything_else_passes_through(text: str, expected: set[str]) -> None:
    assert readings(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "{2$${red|blue}|green|white}",
            {f"{c},{o}" for c in ("red", "blue") for o in ("green", "white")}
            | {f"{o},{c}" for c in ("red", "blue") for o in ("green", "white")}
            | {"green,white", "white,green"},
        ),
        ("{2$$ and $$a|b}", {"a and b", "b and a"}),
        ("{2$$|$$a|b}", {"a|b", "b|a"}),
        ("{0-1$$a}", {"a"}),
        ("{0-1$$a|b}", {"", "a", "b"}),
        ("{-2$$a|b}", {"a", "b", "a,b", "b,a"}),
        ("{2-$$a|b}", {"a,b", "b,a"}),
        ("{9$$a|b}", {"a,b", "b,a"}),
        ("{0::a|b}", {"b"}),
        ("{2$$__moods__}", {"calm,wild", "wild,calm"}),
        ("__mo*__", {"calm", "wild"}),
        ("{|a}", {"", "a"}),
    ],
)
def test_choices(text: str, expected: set[str]) -> None:
    assert readings(text, 400) == expected


def test_weights_are_shares() -> None:
    template = read("prompt", "{3::a|1::b}", {})
    drawn = [template.draw(Random(seed)) for seed in range(4000)]
    assert drawn.count("a") / 4000 == pytest.approx(0.75, abs=0.03)  # four standard deviations


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a {b|{c}", "has a '{' that is never closed, at '{b|{c}'; close it, or write"),
        ("__nothing__", "'__nothing__', which nobody defined; defined are: __moods__, __colors__"),
        ("${a=b}", r"holds a variable, '\$\{a=b\}'; none are read"),
        ("{two$$a|b}", r"before which a number must stand, as in \{2\$\$a\|b\}"),
        ("{" * 11 + "a" + "}" * 11, "nested deeper than 10"),
        ("{a}" * 60 + "__moods__" * 41, "more than 100 choices"),
    ],
)
def test_bad_templates_get_a_sentence(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        read("negative_prompt", text, WILDCARDS)
    assert caught.value.field == "negative_prompt"


def _choice(options: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    many = st.lists(options, min_size=1, max_size=4, unique=True).map("|".join)
    return st.builds("{{{}{}}}".format, st.sampled_from(["", "2$$", "1-2$$", "2$$ or $$"]), many)


def _texts(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(inner, min_size=1, max_size=3).map("".join)


# Empty options are left out: between separators the oracle keeps them, and we do not. Of equal
# options the oracle takes away the first, we the one that was drawn.
WORDS = st.sampled_from(["red", "a cat", "(x:1.2)", "b; ", "\u00fc: "])
TEMPLATES = _texts(st.recursive(WORDS, lambda inner: _choice(_texts(inner)), max_leaves=12))


@pytest.mark.slow
@given(TEMPLATES, st.integers(0, 2**64 - 1))
def test_the_same_seed_draws_what_dynamicprompts_draws(text: str, seed: int) -> None:
    context = SamplingContext(SamplingMethod.RANDOM, WildcardManager(), rand=Random(seed))
    (expected,) = context.sample_prompts(text, 1)
    drawn = read("prompt", text, {}).draw(Random(seed))
    assert drawn == str(expected)


@given(st.text(alphabet="{}|$%_\\:#-2a (", max_size=60))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        read("prompt", text, WILDCARDS).draw(Random(1))
