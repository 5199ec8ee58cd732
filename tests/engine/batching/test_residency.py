"""Which model goes for which, by a clock that the test moves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.engine.batching.request import Choice
from limner.engine.batching.residency import QUANTUM_LOADS, QUANTUM_STEPS, Residency, shares
from limner.errors import InvalidInput, SettingsError

A, B, C, D = (Choice(name) for name in "abcd")
MIB = 1 << 20


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def holding(*choices: Choice, budget: int = 2, load_s: float = 0.0) -> tuple[Residency, Clock]:
    """Models of one byte each, loaded one after another, then a quantum in which all draw."""
    clock = Clock()
    residency = Residency(budget, clock)
    for choice in choices:
        residency.arrived(choice, 1, load_s)
    draw(residency, *choices)
    clock.now += QUANTUM_LOADS * load_s
    return residency, clock


def draw(residency: Residency, *choices: Choice, steps: int = QUANTUM_STEPS) -> None:
    for _ in range(steps):
        for choice in choices:
            residency.drew(choice)


def test_what_fits_is_loaded_and_nothing_goes() -> None:
    residency, _ = holding(A)
    assert residency.next({B: 1}, busy=[A]) == (B, [])
    assert residency.next({C: 1}, busy=[A]) is None, "one is loaded at a time"
    residency.arrived(B, 1, 0.0)
    assert residency.bytes == 2


def test_of_those_without_work_the_least_recently_used_goes() -> None:
    residency, _ = holding(A, B, C, budget=3)
    draw(residency, A, steps=1)
    draw(residency, C, steps=1)
    assert residency.next({D: 1}, busy=[A]) == (D, [B])


def test_what_draws_goes_only_when_its_pictures_are_finished() -> None:
    residency, _ = holding(A, B)
    assert residency.next({C: 1}, busy=[A, B]) is None
    assert residency.leaving == {A}
    draw(residency, A, B)
    assert residency.next({C: 1}, busy=[A, B]) is None
    assert residency.next({C: 1}, busy=[B]) == (C, [A])
    assert not residency.leaving


def test_what_has_been_here_longest_goes_first() -> None:
    residency, _ = holding(A, B)
    residency.next({C: 1}, busy=[B])
    residency.arrived(C, 1, 0.0)
    draw(residency, B, C)
    residency.next({A: 1}, busy=[B, C])
    assert residency.leaving == {B}


def test_a_stay_lasts_so_many_steps() -> None:
    residency, _ = holding(A, B)
    residency.next({C: 1}, busy=[B])
    residency.arrived(C, 1, 0.0)
    draw(residency, B, steps=QUANTUM_STEPS - 1)
    for busy in ([B], [B, C]):  # neither what has no work and came last, nor what draws
        assert residency.next({A: 1}, busy) is None
        assert not residency.leaving
    draw(residency, B, steps=1)
    assert residency.next({A: 1}, busy=[B]) == (A, [C])


def test_time_counts_as_well_as_steps() -> None:
    residency, clock = holding(A, B)
    residency.next({C: 1}, busy=[B])
    residency.arrived(C, 1, 3.0)
    draw(residency, B, C)
    clock.now += QUANTUM_LOADS * 3.0 - 0.1
    assert residency.next({A: 1}, busy=[B, C]) is None
    assert not residency.leaving
    clock.now += 0.2
    residency.next({A: 1}, busy=[B, C])
    assert residency.leaving == {B}


def test_nothing_is_waited_for_where_nothing_is_drawn() -> None:
    residency, _ = holding(A, B, load_s=9.0)
    residency.next({C: 1}, busy=[])
    residency.arrived(C, 1, 9.0)
    assert residency.next({A: 1}, busy=[]) == (A, [B])


def test_who_was_to_go_stays_when_nobody_waits_any_more() -> None:
    residency, _ = holding(A, B)
    residency.next({C: 1}, busy=[A, B])
    assert residency.leaving
    assert residency.next({}, busy=[A, B]) is None
    assert not residency.leaving


def test_a_load_that_failed_leaves_its_room() -> None:
    residency, _ = holding(A)
    residency.next({B: 1}, busy=[A])
    residency.failed()
    assert residency.bytes == 1
    assert residency.next({C: 1}, busy=[A]) == (C, [])


def test_a_large_one_takes_the_place_of_several() -> None:
    residency, _ = holding(A, B, C, budget=3)
    begun = residency.next({D: 3}, busy=[])
    assert begun is not None
    assert begun[0] == D
    assert set(begun[1]) == {A, B, C}


def test_what_can_never_fit_is_told_with_both_numbers() -> None:
    residency = Residency(2 * MIB)
    residency.expect_room(2 * MIB)
    with pytest.raises(InvalidInput, match=r"needs 3 MiB .* may take 2 MiB"):
        residency.expect_room(3 * MIB)


@given(sizes=st.lists(st.integers(1, 5), min_size=3, max_size=6))
@settings(deadline=None, max_examples=30)
def test_the_budget_is_kept_and_everybody_comes(sizes: list[int]) -> None:
    """Everybody always has work, and those that leave have finished by the next step."""
    names = {Choice(str(number)): size for number, size in enumerate(sizes)}
    residency, order, came = Residency(5, Clock()), list(names), set[Choice]()
    for _ in range(len(sizes) * (QUANTUM_STEPS + 3)):
        wanted = {choice: names[choice] for choice in order if choice not in residency.stays}
        begun = residency.next(wanted, set(residency.stays) - residency.leaving)
        assert residency.bytes <= 5
        if begun is not None:
            residency.arrived(begun[0], names[begun[0]], 0.0)
            came.add(begun[0])
            order.remove(begun[0])
            order.append(begun[0])
        draw(residency, *residency.stays, steps=1)
    assert came == set(names)


def test_models_and_pictures_do_not_claim_the_same_memory() -> None:
    assert shares(first=2, free=100, pictures=50, budget=None) == (52, 25)
    assert shares(first=20, free=100, pictures=50, budget=10) == (20, 50)
    assert shares(first=20, free=100, pictures=50, budget=100) == (100, 10)
    with pytest.raises(SettingsError, match=r"Models may take 200 MiB.* only 120 MiB"):
        shares(first=20 * MIB, free=100 * MIB, pictures=50 * MIB, budget=200 * MIB)
