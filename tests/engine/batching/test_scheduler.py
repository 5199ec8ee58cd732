"""The batching scheduler on images without tensors."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.engine.batching.image import Image
from limner.engine.batching.scheduler import Scheduler
from tests.engine.factories import make_image


def make_scheduler(max_rows: int = 16, max_bytes: int = 10**6) -> Scheduler:
    return Scheduler(max_rows=max_rows, native_area=64 * 64, max_bytes=max_bytes)


def enter(scheduler: Scheduler, *images: Image) -> None:
    for image in images:
        scheduler.add(image)
    for image in scheduler.admit():
        scheduler.start(image)


def run(scheduler: Scheduler) -> list[Image]:
    batch = scheduler.schedule()
    for image in batch:
        image.evaluation += 1
        if image.finished:
            scheduler.remove(image)
    for image in scheduler.admit():
        scheduler.start(image)
    return batch


def test_idle_schedules_nothing() -> None:
    assert make_scheduler().schedule() == []


def test_images_of_one_owner_share_a_step_up_to_the_knee() -> None:
    scheduler = make_scheduler(max_rows=8)
    enter(scheduler, *(make_image() for _ in range(6)))
    assert len(scheduler.schedule()) == 4


def test_a_step_holds_one_latent_size_and_sizes_take_turns() -> None:
    scheduler = make_scheduler()
    small = [make_image(owner="a") for _ in range(2)]
    large = [make_image(owner="b", size=(64, 96)) for _ in range(2)]
    enter(scheduler, *small, *large)
    batches = [run(scheduler) for _ in range(10)]
    assert all(len({image.group for image in batch}) == 1 for batch in batches)
    assert {batch[0].group.width for batch in batches} == {64, 96}


def test_larger_latents_leave_room_for_fewer_rows() -> None:
    scheduler = make_scheduler(max_rows=8)
    enter(scheduler, *(make_image(size=(128, 128)) for _ in range(4)))
    assert len(scheduler.schedule()) == 1


def test_one_image_always_fits() -> None:
    scheduler = make_scheduler(max_rows=2)
    enter(scheduler, make_image(rows=9))
    assert len(scheduler.schedule()) == 1


def test_a_flood_leaves_a_newcomer_half_of_the_work() -> None:
    scheduler = make_scheduler(max_rows=16)
    enter(scheduler, *(make_image(owner="flood", evaluations=50) for _ in range(30)))
    for _ in range(10):
        run(scheduler)
    single = make_image(owner="single", evaluations=20)
    enter(scheduler, single)
    rows: Counter[str] = Counter()
    while not single.finished:
        for image in run(scheduler):
            rows[image.request.owner] += image.rows
    assert rows["single"] == 40
    assert rows["flood"] <= rows["single"] + 2 * single.rows


def test_a_flood_of_many_sizes_does_not_multiply_its_turns() -> None:
    scheduler = make_scheduler()
    sizes = [(64, 64 + 8 * i) for i in range(1, 8)]
    enter(scheduler, *(make_image(owner="flood", size=size) for size in sizes for _ in range(2)))
    single = make_image(owner="single")
    enter(scheduler, single)
    steps = 0
    while not single.finished:
        run(scheduler)
        steps += 1
    assert steps <= 2 * single.evaluations + 1


def test_owners_with_enough_images_fill_the_batch_evenly() -> None:
    scheduler = make_scheduler(max_rows=16)
    for owner in "abcd":
        enter(scheduler, *(make_image(owner=owner) for _ in range(8)))
    owners = Counter(image.request.owner for image in scheduler.schedule())
    assert owners == {"a": 2, "b": 2, "c": 2, "d": 2}


def test_where_one_image_fills_the_machine_it_is_finished_before_the_next() -> None:
    scheduler = make_scheduler(max_rows=2)
    first, second = make_image(owner="a"), make_image(owner="b")
    enter(scheduler, first, second)
    order = [run(scheduler)[0] for _ in range(40)]
    assert order == [order[0]] * 20 + [order[20]] * 20
    assert {first, second} == {order[0], order[20]}


def test_memory_bounds_what_enters_and_the_rest_follow() -> None:
    scheduler = make_scheduler(max_bytes=100)
    images = [make_image(memory=40, evaluations=1) for _ in range(5)]
    enter(scheduler, *images)
    assert (scheduler.in_flight.total(), scheduler.waiting, scheduler.bytes) == (2, 3, 80)
    while scheduler.in_flight:
        run(scheduler)
        assert scheduler.bytes <= 100
    assert all(image.finished for image in images)
    assert scheduler.bytes == 0


def test_dropping_a_request_takes_its_images_wherever_they_are() -> None:
    scheduler = make_scheduler(max_bytes=2)
    running, waiting = make_image(), make_image()
    waiting_mate = replace(running, index=1)
    enter(scheduler, running)
    scheduler.add(waiting)
    scheduler.admit()  # in preparation
    scheduler.add(waiting_mate)
    assert set(scheduler.drop(running.request.id)) == {running, waiting_mate}
    assert scheduler.all() == [waiting]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from([64, 96]), st.integers(1, 6)),
        max_size=25,
    ),
    st.integers(2, 20),
)
@settings(deadline=None)
def test_everybody_finishes_and_bounds_hold(
    arrivals: list[tuple[str, int, int]], rows: int
) -> None:
    scheduler = make_scheduler(max_rows=rows, max_bytes=8)
    images = [make_image(owner=o, size=(64, w), evaluations=n) for o, w, n in arrivals]
    enter(scheduler, *images)
    while scheduler.in_flight:
        batch = run(scheduler)
        assert len(batch) == len(set(map(id, batch)))
        assert len(batch) == 1 or sum(i.rows for i in batch) * batch[0].group.width <= rows * 64
        assert scheduler.bytes <= 8
    assert all(image.evaluation == image.evaluations for image in images)
    assert scheduler.all() == []


@pytest.mark.parametrize("part", ["model", "height", "width", "bucket", "features"])
def test_nothing_runs_beside_what_differs_in_a_part_of_its_group(part: str) -> None:
    other = {"model": "other", "height": 72, "width": 72, "bucket": 2, "features": frozenset("x")}
    scheduler = make_scheduler()
    one, apart, alike = make_image(), make_image(), make_image()
    apart.group = replace(apart.group, **{part: other[part]})
    enter(scheduler, one, apart, alike)
    assert scheduler.schedule() == [one, alike]
