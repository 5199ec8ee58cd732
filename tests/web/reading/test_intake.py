"""How a call's pictures come in: few at a time of one key, and counted while they come."""

import asyncio

from limner import fetching
from limner.imaging.budget import Budget
from limner.pools import WHOSE
from limner.settings import Settings
from limner.web.reading.intake import Intake
from tests.waiting import until


def test_a_key_fetches_four_files_at_a_time_and_each_is_counted(monkeypatch):
    settings, budget = Settings(data_dir="/nonexistent", fetch_max_bytes=1024), Budget(10_240)
    begun = []

    async def main():
        go_on = asyncio.Event()

        async def fetch(url, name, limits):
            begun.append(WHOSE.get())
            await go_on.wait()
            return b"file"

        async def as_key(key):
            WHOSE.set(key)
            return await Intake(settings, key, budget=budget).fetch("image", "http://a.example/")

        monkeypatch.setattr(fetching, "fetch", fetch)
        tasks = [asyncio.create_task(as_key(key)) for key in "aaaaaab"]
        await until(lambda: "b" in begun)
        assert (begun.count("a"), budget.held) == (4, 5 * 1024)
        go_on.set()
        assert await asyncio.gather(*tasks) == [b"file"] * 7

    asyncio.run(main())
    assert (begun.count("a"), budget.held) == (6, 0)
