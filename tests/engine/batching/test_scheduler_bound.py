"""The bound of ADR 0001: whoever has pictures running gets as much as the others, at every time.

Owners flood the scheduler for ever with pictures of any model, size and length, whose rows may
change from step to step and whose size may double in a second phase; the test keeps its own
account of what each has got.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.engine.batching.image import Image
from limner.engine.batching.request import Choice
from limner.engine.batching.scheduler import TURN, Scheduler
from tests.engine.factories import make_image

AREA = 64 * 64
SIZES = ((64, 64), (64, 96), (128, 128), (256, 256))

kinds = st.fixed_dictionaries(
    {
        "size": st.sampled_from(SIZES),
        "bucket": st.integers(1, 2),
        "rows": st.lists(st.integers(1, 4), min_size=1, max_size=3),
        "evaluations": st.integers(1, 30),
        "first": st.sampled_from((30, 30, 4)),
        "model": st.sampled_from(("", "", "slow")),
    }
)


@dataclass(eq=False)
class Owner:
    """Keeps ``live`` images known, of its kinds in turn, from step ``arrives`` on.

    A kind's ``rows`` are a number, or those of an image's evaluations in turn; after ``first``
    evaluations the second phase begins.
    """

    name: str
    kinds: list[dict]
    live: int
    arrives: int = 0
    got: int = 0
    known: list[Image] = field(default_factory=list)
    made: int = 0
    between: list[Image] = field(default_factory=list)

    def refill(self, scheduler: Scheduler) -> None:
        self.known = [image for image in self.known if not image.finished]
        while len(self.known) < self.live:
            image = image_of(self.kinds[self.made % len(self.kinds)], self.name)
            self.made += 1
            self.known.append(image)
            scheduler.add(image)


def image_of(kind: dict, owner: str = "") -> Image:
    """An image whose rows change in turn; its ``state`` is the turns."""
    turns = kind.get("rows", 2)
    turns = [turns] if isinstance(turns, int) else turns
    rest = {name: value for name, value in kind.items() if name not in ("rows", "first")}
    image = make_image(owner=owner, rows=turns[0], **rest)
    image.phase = range(min(kind.get("first", image.evaluations), image.evaluations))
    image.state = turns
    return image


def dearest(kind: dict) -> int:
    """The most that one evaluation of such an image costs."""
    image = image_of(kind)
    growth = 1 if image.phase.stop == image.evaluations else 4
    return growth * image.group.cost(max(image.state))


def evaluate(image: Image) -> None:
    """Once, as a runner does it; after the last of a phase it stands before the next."""
    image.evaluation += 1
    if image.phase_over and not image.finished:
        group = image.group
        image.group = replace(group, height=2 * group.height, width=2 * group.width)
        image.phase = range(image.evaluation, image.evaluations)
    image.rows = image.state[image.evaluation % len(image.state)]
    image.cost = image.group.cost(image.rows)


owners = st.lists(
    st.builds(Owner, st.just(""), st.lists(kinds, min_size=1, max_size=3), st.integers(1, 5),
              st.integers(0, 40)),
    min_size=2,
    max_size=4,
)  # fmt: skip


def make_scheduler(max_rows: int, max_bytes: int = 10**6) -> Scheduler:
    """The model ``slow`` runs a quarter as many rows together as others."""
    scheduler = Scheduler(max_rows=max_rows, native_area=AREA, max_bytes=max_bytes)
    scheduler.knees.known[Choice("slow")] = (slow(max_rows), AREA)
    return scheduler


def slow(max_rows: int) -> int:
    return max(1, max_rows // 4)


def play(scheduler: Scheduler, present: list[Owner]) -> None:
    """One step in this company."""
    for owner in present:
        owner.refill(scheduler)
    for image in [*scheduler.admit(), *(image for owner in present for image in owner.between)]:
        scheduler.start(image)
    for owner in present:
        owner.between = []
    for image in scheduler.schedule():
        owner = next(owner for owner in present if owner.name == image.request.owner)
        owner.got += image.cost
        evaluate(image)
        if image.finished:
            scheduler.remove(image)
        elif image.k == 0:
            scheduler.rest(image)
            owner.between.append(image)


def bound(max_rows: int, company: list[Owner]) -> int:
    """By how much the service of two owners may differ."""
    largest = max(dearest(kind) for owner in company for kind in owner.kinds)
    step = max_rows * AREA
    models = {kind.get("model", "") for owner in company for kind in owner.kinds}
    least = slow(max_rows) * AREA if "slow" in models else step
    if 2 * largest > least:  # so large that it may fill a step
        return TURN * step + largest
    return step + 2 * largest


@given(company=owners, max_rows=st.sampled_from([1, 2, 4, 8, 32]))
@settings(deadline=None, max_examples=150)
def test_no_owner_lags_another_by_more_than_the_bound(company: list[Owner], max_rows: int) -> None:
    scheduler, most = make_scheduler(max_rows), bound(max_rows, company)
    apart: dict[tuple[str, str], list[int]] = {}
    for number, owner in enumerate(company):
        owner.name = str(number)
    for step in range(160):
        present = [owner for owner in company if owner.arrives <= step]
        play(scheduler, present)
        counters = [scheduler.service.get(o.name, scheduler.service.now) for o in present]
        assert not present or max(counters) - min(counters) <= most
        for one, other in itertools.combinations(present, 2):
            apart.setdefault((one.name, other.name), []).append(one.got - other.got)
    for differences in apart.values():
        assert max(differences) - min(differences) <= 2 * most


@given(company=owners, max_rows=st.sampled_from([1, 2, 8]), memory=st.integers(4, 30))
@settings(deadline=None, max_examples=60)
def test_every_image_begins(company: list[Owner], max_rows: int, memory: int) -> None:
    scheduler = make_scheduler(max_rows, max_bytes=memory)
    scheduler.turn = 4  # shorter turns, that the test may end
    for number, owner in enumerate(company):
        owner.name = str(number)
        owner.kinds = [
            kind | {"evaluations": 1 + kind["evaluations"] % 4, "memory": 1 + 3 * number}
            for kind in owner.kinds
        ]
        owner.refill(scheduler)
    first = [image for owner in company for image in owner.known]
    for _ in range(6000):
        play(scheduler, company)
        if all(image.evaluation for image in first):
            return
    pytest.fail("an image never began")


@pytest.mark.parametrize(
    ("max_rows", "flood", "single"),
    [
        (32, {"rows": 2}, {"size": (256, 256), "rows": 2}),
        (8, {"rows": 2}, {"size": (128, 128), "rows": 2}),
        (2, {"rows": 1}, {"rows": 2}),
        (32, {"rows": 2}, {"size": (96, 96), "rows": 2}),
    ],
)
def test_a_picture_that_fills_a_step_gets_half_beside_a_flood(max_rows, flood, single) -> None:
    scheduler = make_scheduler(max_rows)
    company = [
        Owner("a", [{"size": (64, 64), **flood}], live=4),
        Owner("b", [{"size": (64, 64), **single}], live=1),
    ]
    picture_begins_within(scheduler, company, steps=3)
    for _ in range(400):
        play(scheduler, company)
    a, b = company
    assert abs(a.got - b.got) <= max_rows * AREA + 2 * image_of(b.kinds[0]).cost


def picture_begins_within(scheduler: Scheduler, company: list[Owner], steps: int) -> None:
    for _ in range(steps):
        play(scheduler, company)
    assert all(image.evaluation for image in company[1].known)


def test_an_owners_own_flood_does_not_pass_over_its_older_picture_for_ever() -> None:
    scheduler = make_scheduler(8)
    company = [
        Owner("a", [{"rows": 1}], live=4),
        Owner("b", [{"rows": 2, "evaluations": 200}], live=1),
    ]
    for _ in range(5):
        play(scheduler, company)
    older = image_of({"size": (64, 96), "rows": 1}, "b")
    scheduler.add(older)
    for _ in range(2000):
        play(scheduler, company)
    assert older.finished


def test_a_large_picture_enters_beside_a_flood_of_small_ones() -> None:
    scheduler = make_scheduler(8, max_bytes=100)
    flood = Owner("a", [{"memory": 10, "evaluations": n} for n in (3, 4, 5)], live=12)
    for _ in range(5):
        play(scheduler, [flood])
    large = Owner("b", [{"memory": 95}], live=1)
    for _ in range(60):
        play(scheduler, [flood, large])
    assert large.got > 0


def test_a_debt_is_not_lost_by_going_away() -> None:
    scheduler = make_scheduler(8)
    a, b = (Owner(name, [{"rows": 2}], live=1) for name in "ab")
    for _ in range(3):
        play(scheduler, [a])  # alone, which is no debt
    play(scheduler, [a, b])
    a.kinds = [{"rows": 2, "evaluations": 1}]
    for _ in range(200):
        play(scheduler, [a, b])
    assert abs(a.got - b.got) <= 8 * AREA + 4 * 2 * AREA


@given(company=owners, max_rows=st.sampled_from([1, 2, 8, 32]))
@settings(deadline=None, max_examples=25)
def test_a_step_holds_no_more_than_the_knee_by_the_rows_of_that_step(
    company: list[Owner], max_rows: int
) -> None:
    scheduler = make_scheduler(max_rows)
    for number, owner in enumerate(company):
        owner.name = str(number)
    for _ in range(60):
        for owner in company:
            owner.refill(scheduler)
        rows = rows_in_flight(scheduler)
        for image in scheduler.admit():
            assert rows[image.request.owner] < 2 * max_rows, "it had as many as it may"
            rows[image.request.owner] += image.rows
            scheduler.start(image)
        batch = scheduler.schedule()
        most = max(1, max_rows * AREA // batch[0].group.area)
        assert len(batch) == 1 or sum(image.rows for image in batch) <= most
        for image in batch:
            evaluate(image)
            if image.finished:
                scheduler.remove(image)


def rows_in_flight(scheduler: Scheduler) -> Counter[str]:
    rows: Counter[str] = Counter()
    for image in scheduler._running:
        rows[image.request.owner] += image.rows
    return rows
