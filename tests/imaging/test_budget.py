"""Bytes of pictures that came in: counted while they are held, refused with the number."""

import gc

import numpy as np
import pytest

from limner.errors import Unavailable
from limner.imaging.budget import Budget

MIB = 2**20


def test_what_is_held_is_given_back():
    budget = Budget(3 * MIB)
    with budget.holding(2 * MIB):
        with pytest.raises(Unavailable, match="holds 2 of 3 MiB"), budget.holding(2 * MIB):
            pass
        assert budget.held == 2 * MIB
    assert budget.held == 0


def test_an_array_counts_until_nobody_has_it():
    budget = Budget(MIB)
    array = np.empty((1024, 1024), np.uint8)
    budget.keep(array)
    assert budget.full
    part = array[:4]
    del array
    gc.collect()
    assert budget.held == MIB
    del part
    gc.collect()
    assert budget.held == 0
