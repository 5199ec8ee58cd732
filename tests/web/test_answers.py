"""Header texts, plain decimals, and the one table of statuses."""

import json
from contextlib import ExitStack
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limner import errors
from limner.web import answers
from limner.web.access.limits import AtOnce, PerMinute


def all_errors(base=errors.LimnerError):
    return [base, *(kind for sub in base.__subclasses__() for kind in all_errors(sub))]


@pytest.mark.parametrize("kind", all_errors())
def test_every_error_has_a_status(kind):
    assert 400 <= answers.status_of(kind.__new__(kind)) <= 503


def test_a_users_mistake_is_never_5xx():
    ours = (errors.Unavailable, errors.EngineFault, errors.DecoderFault)
    other = (errors.CheckpointError, errors.LedgerError, errors.SettingsError, errors.Damaged)
    for kind in all_errors()[1:]:
        if not issubclass(kind, ours + other):
            assert answers.status_of(kind.__new__(kind)) < 500, kind


@given(st.lists(st.text(max_size=400), max_size=60))
def test_adjustments_fit_into_two_kilobytes(notes):
    text = answers.adjustments(notes)
    assert text.isascii()
    assert len(text) <= 2048
    shown = json.loads(text)
    if shown != notes:
        kept = shown[:-1]
        assert kept == notes[: len(kept)]
        assert shown[-1] == f"and {len(notes) - len(kept)} more"


@given(st.integers(-(10**15), 10**15))
def test_credits_in_json_are_plain(micro):
    text = answers.dumps({"credits": Decimal(micro).scaleb(-6)})
    assert "e" not in text.lower().replace("credits", "")
    assert json.loads(text, parse_float=Decimal)["credits"] == Decimal(micro) / 1_000_000


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_json_is_json(value):
    assert json.loads(answers.dumps(value)) == value


def test_a_key_has_half_of_the_calls_in_progress():
    calls = AtOnce(5)
    with ExitStack() as some, ExitStack() as others:
        for _ in range(2):
            some.enter_context(calls.one("a"))
            others.enter_context(calls.one("b"))
        with (
            pytest.raises(errors.LimitExceeded, match="has 2 of 5 calls in progress"),
            calls.one("a"),
        ):
            pass
        with calls.one("c"), pytest.raises(errors.Unavailable, match="busy with 5"), calls.one("d"):
            pass
        others.close()
        with calls.one("b"), calls.one("c"), calls.one("d"):
            pass
    assert not calls._of


def test_per_minute_frees_itself():
    now = [0.0]
    limit = PerMinute(2, "knocks", clock=lambda: now[0])
    limit.count("a")
    limit.count("a")
    with pytest.raises(errors.LimitExceeded, match="More than 2 knocks") as refused:
        limit.count("a")
    assert refused.value.retry_after_s == 61
    limit.count("b")
    now[0] = 60.0
    limit.count("a")
