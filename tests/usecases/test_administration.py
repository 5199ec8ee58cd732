"""The operator's side: keys, grants, usage, and what is at a moment, on both databases."""

import pytest

from limner.errors import (
    IdempotencyMismatch,
    InsufficientCredits,
    InvalidInput,
    InvalidKey,
    NotFound,
)
from limner.store import keys, ledger
from limner.usecases.administration import Administration, NewKey
from limner.usecases.queueing.queue import Queue
from tests.store.databases import customer
from tests.usecases.services import order, started

pytestmark = [pytest.mark.anyio, pytest.mark.rarely_postgresql]
PRICE = 4  # two steps, two rows, one tile


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def administration(database):
    return Administration(database)


def authenticate(database, plain):
    with database.read() as conn:
        return keys.authenticate(conn, plain)


async def test_a_key_is_created_limited_rotated_and_revoked(administration, database):
    wanted = NewKey("me", 5_000_000, scopes=("read",), expires_days=2, concurrency=3)
    plain, key = await administration.create_key(wanted)
    assert authenticate(database, plain) == key
    assert (key.scopes, key.concurrency) == ({"read"}, 3)
    assert key.expires_at - key.created_at == pytest.approx(2 * 86_400, abs=5)
    limited = await administration.limit_key(key.id, expires_days=None, spend_cap_micro=7)
    assert (limited.expires_at, limited.spend_cap_micro, limited.concurrency) == (None, 7, 3)
    second, _ = await administration.rotate_key(key.id, grace_s=60)
    assert authenticate(database, plain).id == authenticate(database, second).id == key.id
    assert (await administration.revoke_key(key.id)).revoked_at is not None
    for each in (plain, second):
        with pytest.raises(InvalidKey):
            authenticate(database, each)


async def test_an_expired_key_is_refused(administration, database):
    plain, key = await administration.create_key(NewKey("me", expires_days=1))
    await administration.limit_key(key.id, expires_days=-1)
    with pytest.raises(InvalidKey):
        authenticate(database, plain)


async def test_a_key_shares_an_account(administration):
    _, first = await administration.create_key(NewKey("one", 5))
    _, second = await administration.create_key(NewKey("two", share_with=first.id))
    assert first.account_id == second.account_id
    assert [balance.available_micro for _, balance in await administration.keys()] == [5, 5]


async def test_a_grant_with_an_id_is_made_once(administration):
    _, key = await administration.create_key(NewKey("me"))
    for _ in range(2):
        balance = await administration.grant(key.id, 7, "bill-1")
    assert balance.available_micro == 7
    with pytest.raises(IdempotencyMismatch, match="bill-1"):
        await administration.grant(key.id, 8, "bill-1")
    assert (await administration.grant(key.id, 1)).available_micro == 8
    assert (await administration.totals())["issued"] == -8
    assert await administration.check() == []


@pytest.mark.parametrize("first", [0, 7])
async def test_a_grant_may_be_named_like_its_key(administration, database, first):
    _, key = await administration.create_key(NewKey("me", first))
    for _ in range(2):
        assert (await administration.grant(key.id, 7, key.id)).available_micro == first + 7
    assert (await administration.grant(key.id, 7)).available_micro == first + 14
    with database.begin() as conn:  # as every key's first credits were named once
        ledger.grant(conn, key.account_id, 5, id=f"grant_{key.id}x")
    assert (await administration.grant(key.id, 5, f"{key.id}x")).available_micro == first + 24


@pytest.mark.parametrize("id", ["", "i" * 65])
async def test_the_id_of_a_grant_has_bounds(administration, id):
    _, key = await administration.create_key(NewKey("me"))
    with pytest.raises(InvalidInput, match="1 to 64"):
        await administration.grant(key.id, 7, id)


@pytest.mark.parametrize("call", ["limit_key", "rotate_key", "revoke_key"])
async def test_nobody_elses_key(administration, call):
    with pytest.raises(NotFound, match="key_x"):
        await getattr(administration, call)("key_x")


async def test_a_spending_cap_is_kept(administration, database, tmp_path):
    plain, _ = await administration.create_key(NewKey("me", 1000, spend_cap_micro=PRICE))
    async with started(database, tmp_path) as generate:
        await generate.run(authenticate(database, plain), order())
        with pytest.raises(InsufficientCredits, match="this key may spend 0 more"):
            await generate.run(authenticate(database, plain), order())


async def test_usage_and_what_a_server_does(administration, database, tmp_path):
    key, idle = customer(database, 1000), customer(database, 50)
    async with started(database, tmp_path, empty=False) as generate:
        await generate.run(key, order(samples=2))
        with pytest.raises(Exception, match="Drawing failed"):
            await generate.run(key, order("!fault", steps=5))
        await Queue(generate).submit(key, order("waits"))
    (row,) = await administration.usage(1)
    assert (row.key_id, row.requests, row.completed, row.failed, row.cancelled) == (
        key.id,
        3,
        1,
        1,
        0,
    )
    assert (row.pictures, row.cost_micro) == (2, 2 * PRICE)
    assert row.drawing_s > 0
    assert await administration.usage(0) == []
    found = await administration.figures()
    assert (found.queued, found.processing, found.pictures) == (1, 0, 2)
    assert found.picture_bytes > 0
    assert found.captured_micro == 2 * PRICE
    assert found.held_micro == PRICE
    assert found.available_micro == 1050 - 3 * PRICE
    assert idle.id not in {row.key_id for row in await administration.usage(1)}
