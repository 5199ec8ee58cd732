"""Whatever breaks: what answers say is what the ledger took, and a retry is the same and free."""

import pytest

from tests.web import planted


@pytest.mark.parametrize("number", [25, pytest.param(1000, marks=pytest.mark.slow)])
def test_what_is_said_is_what_was_taken(tmp_path, number):
    wrong, answers, struck = planted.check(tmp_path, number, seed=number)
    assert wrong == []
    assert answers[200] > number / 3
    assert sum(struck.values()) > number / 10
