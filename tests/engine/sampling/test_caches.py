"""Caches bounded in bytes."""

import threading
from concurrent.futures import ThreadPoolExecutor

from limner.engine.batching.client import CacheStats
from limner.engine.sampling.caches import ByteCache
from tests.waiting import LONG_S


def test_the_cache_keeps_within_its_bytes() -> None:
    made: list[int] = []
    cache: ByteCache[int] = ByteCache(100)

    def get(key: int) -> int:
        return cache.get(key, lambda: made.append(key) or key, lambda _: 40)

    get(1), get(2), get(1), get(3)  # 2 was used longest ago and goes
    assert (cache.size, len(cache)) == (80, 2)
    get(1), get(3)
    assert made == [1, 2, 3]
    get(2)
    assert made == [1, 2, 3, 2]
    assert cache.get(9, lambda: 9, lambda _: 101) == 9
    assert cache.size <= 100


def test_a_cache_counts_what_it_had():
    cache = ByteCache(10)
    for key in ("a", "b", "a", "a", "b", "huge"):
        cache.get(key, lambda: 0, lambda _, key=key: 99 if key == "huge" else 4)
    assert cache.stats == CacheStats(bytes=8, hits=3, misses=3)


def test_threads_that_make_a_value_at_once_get_the_same() -> None:
    cache: ByteCache[object] = ByteCache(100)
    all_here = threading.Barrier(2, timeout=LONG_S)

    def make() -> object:
        all_here.wait()
        return object()

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: cache.get("a", make, lambda _: 40), range(2))
    assert one is two
    assert cache.size == 40
