"""Bytes of pictures that came in: counted while they are held, refused with the number."""

import gc
import threading
from collections import Counter

import numpy as np
import pytest

from limner.errors import LimitExceeded, Unavailable
from limner.imaging.budget import NOBODY, Budget
from tests.waiting import LONG_S

MIB = 2**20


def refused(budget, owner, size):
    """How ``size`` bytes more of ``owner`` are refused."""
    with pytest.raises((LimitExceeded, Unavailable)) as error, budget.holding(owner, size):
        pass
    return f"{error.type.__name__}: {error.value}"


def test_what_is_held_is_given_back():
    budget = Budget(3 * MIB)
    with budget.holding("a", 2 * MIB):
        assert "Unavailable: The server holds 2 of 3 MiB" in refused(budget, "b", 2 * MIB)
        assert budget.held == 2 * MIB
    assert budget.held == 0


def test_one_key_leaves_half_of_it_to_the_others():
    budget = Budget(100 * MIB)
    kept = np.empty(40 * MIB, np.uint8)
    budget.keep("a", kept)
    assert refused(budget, "a", 11 * MIB).startswith(
        "LimitExceeded: The server holds 40 MiB of pictures that came in with this key, which may "
        "have 50 MiB at a time"
    )
    with budget.holding("a", 10 * MIB), budget.holding("b", 50 * MIB):
        assert "Unavailable" in refused(budget, "a", 1)
    with budget.holding("b", 60 * MIB):  # a single one may be as large as there is room
        assert "LimitExceeded" in refused(budget, "b", 0)
    with budget.holding(NOBODY, 50 * MIB), budget.holding(NOBODY, 10 * MIB):
        pass
    del kept
    assert budget.held == 0


@pytest.mark.parametrize(("limit", "share"), [(16, 16), (40, 32), (64, 32), (192, 96)])
def test_a_share_has_room_for_one_call(limit, share):
    assert Budget(limit * MIB).share == share * MIB


def test_an_array_may_be_let_go_while_another_is_counted(monkeypatch):
    """The collector runs where it likes: also in the thread that is counting at that moment."""
    budget, kept = Budget(2 * MIB), [np.empty(MIB, np.uint8)]
    budget.keep("a", kept[0])
    total = Counter.total

    def collected(counter):
        kept.clear()
        return total(counter)

    def count():
        with budget.holding("b", MIB):
            pass

    monkeypatch.setattr(Counter, "total", collected)
    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    thread.join(LONG_S)
    assert not thread.is_alive(), "it waits for itself"
    assert budget.held == 0


def test_an_array_counts_until_nobody_has_it():
    budget = Budget(MIB)
    array = np.empty((1024, 1024), np.uint8)
    budget.keep("a", array)
    assert budget.full
    part = array[:4]
    del array
    gc.collect()
    assert budget.held == MIB
    del part
    gc.collect()
    assert budget.held == 0
