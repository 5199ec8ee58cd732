"""Which rows an image has at each step, and their weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from limner.domain.prompt import parse
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling import guidance
from limner.engine.sampling.batch import context_of
from limner.engine.sampling.conditioning import Caches, Conditioner
from limner.errors import InvalidInput
from tests.engine.factories import make_generation


@pytest.fixture(scope="module")
def conditioner(squire: Checkpoint) -> Conditioner:
    return Conditioner(
        squire.tokenizer,
        squire.text_encoder,
        caches=Caches(1 << 20),
        model_sha256=squire.info.sha256,
    )


def test_weights_compose_to_the_formula(conditioner: Conditioner) -> None:
    g = make_generation("a :0.7 AND b AND c :-0.2", guidance=4.0)
    rows = guidance.encode_guidance(g, np.array([1]), 1, conditioner).at(0)
    eps = torch.randn(4, 10)
    uncond, a, b, c = eps
    expected = uncond + 4 * (0.7 * (a - uncond) + (b - uncond) - 0.2 * (c - uncond))
    torch.testing.assert_close(rows.G @ eps, expected)


@pytest.mark.parametrize("scale", [0.0, 0.1, 1.0, 2.0, 7.5])
@pytest.mark.parametrize("text", ["a", "a AND b", "a :0.25 AND b :0.25", "a AND b :-1"])
def test_rows_are_what_the_price_counts(conditioner: Conditioner, text: str, scale: float) -> None:
    g = make_generation(text, guidance=scale)
    rows, _ = guidance.count_rows(g, conditioner)
    assert rows == g.rows(parse(text, g.steps).weights)
    prepared = guidance.encode_guidance(g, np.array([1]), 1, conditioner).at(0)
    assert len(prepared.contexts) == rows[0] == len(prepared.G)
    torch.testing.assert_close(prepared.G.sum(), torch.tensor(1.0))


def test_editing_changes_the_rows_at_the_users_step(conditioner: Conditioner) -> None:
    g = make_generation("[knight:mage:2]", negative_prompt="[red:blue:3]", steps=4)
    steps = np.array([1, 1, 2, 2, 3, 3, 4])  # a two-evaluation method
    made = guidance.encode_guidance(g, steps, 1, conditioner)
    assert made.span_of == (0, 0, 0, 0, 1, 1, 2)
    knight = conditioner.encode(parse("knight", 1).entries[0].branches[0].spans, 1)
    mage = conditioner.encode(parse("mage", 1).entries[0].branches[0].spans, 1)
    torch.testing.assert_close(made.at(3).contexts[1], knight)
    torch.testing.assert_close(made.at(4).contexts[1], mage)


@pytest.mark.parametrize(("words", "bucket"), [(10, 1), (80, 2), (160, 4), (320, 8)])
def test_shorter_prompts_are_padded_to_the_bucket_and_masked(
    conditioner: Conditioner, words: int, bucket: int
) -> None:
    g = make_generation("tree " * words)
    assert guidance.count_rows(g, conditioner) == ([2] * 20, bucket)
    rows = guidance.encode_guidance(g, np.array([1]), bucket, conditioner).at(0)
    context, mask = context_of(rows.contexts, rows.tokens)
    assert context.shape[:2] == (2, 77 * bucket)
    if bucket == 1:
        assert mask is None
    else:
        assert mask is not None
        assert mask[0].sum() == 77
        assert mask[1].sum() == 77 * -(-words // 75)
        assert not context[0, 77:].any()


def test_steps_that_show_the_same_share_what_was_encoded(conditioner: Conditioner) -> None:
    g = make_generation("a [cow|horse] AND a hill", steps=100)
    made = guidance.encode_guidance(g, np.arange(1, 101), 8, conditioner)
    made = made.to(torch.device("cpu"), torch.float64)
    assert made.span_of == (0, 1) * 50
    contexts = [context for rows in made.spans for context in rows.contexts]
    assert len({context.data_ptr() for context in contexts}) == 4
    assert {tuple(context.shape) for context in contexts} == {(77, contexts[0].shape[1])}


def test_a_prompt_that_changes_into_too_much_text_is_refused(conditioner: Conditioner) -> None:
    many = "[" + "|".join(f"tree {n}" for n in range(150)) + "]"
    guidance.count_rows(make_generation(many, steps=150), conditioner)
    longer = make_generation(many + " and a hill" * 60, steps=150)
    with pytest.raises(InvalidInput, match="60,000 characters that they show"):
        guidance.count_rows(longer, conditioner)


def test_limits_name_both_numbers(conditioner: Conditioner) -> None:
    with pytest.raises(InvalidInput, match="9 prompts with AND; at most 8"):
        guidance.count_rows(make_generation(" AND ".join("abcdefghi")), conditioner)
    with pytest.raises(InvalidInput, match=r"negative_prompt is 9 chunks .* at most 8"):
        guidance.count_rows(make_generation("a", negative_prompt="tree " * 601), conditioner)
