"""API keys: kept as hashes, refused when they should be."""

import re
import time

import pytest
from sqlalchemy import select

from limner.errors import InsufficientCredits, InvalidInput, InvalidKey, NotFound
from limner.store import keys, ledger
from limner.store.schema import acceptances


def create(database, **more):
    with database.begin() as conn:
        return keys.create(conn, name="someone", **more)


def authenticate(database, plain):
    with database.read() as conn:
        return keys.authenticate(conn, plain)


def test_a_new_key_opens_its_account(database):
    plain, key = create(database, credits_micro=5_000_000)
    assert re.fullmatch(r"SG_[0-9a-f]{32}", plain)
    assert re.match(r"^(sg_|SG_)[a-zA-Z0-9]{12,}$", plain)  # what clients check
    assert authenticate(database, plain) == key
    assert key.scopes == {"draw", "read"}
    with database.read() as conn:
        assert ledger.balance(conn, key.account_id) == ledger.Balance(5_000_000, 0)


def test_the_plain_key_is_nowhere_in_the_database(database):
    plain, _ = create(database, credits_micro=1)
    with database.begin() as conn:
        keys.rotate(conn, keys.listing(conn)[0].id, grace_s=60)
        dump = " ".join(str(row) for row in conn.execute(select(keys.keys)))
    assert plain[7:] not in dump
    assert plain[3:] not in dump


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "SG_",
        "SG_" + "0" * 32,
        "SG_" + "g" * 32,
        "nul\0",
        "ключ",
        "x" * 10_000,
        "sg_" + "0" * 32,
    ],
)
def test_a_key_nobody_issued(database, wrong):
    create(database)
    with pytest.raises(InvalidKey, match=r"^Unauthorized\. API key is invalid or may have expired"):
        authenticate(database, wrong)


def test_revoked_and_expired_keys_are_refused_alike(database):
    plain, key = create(database)
    late, _ = create(database, expires_at=time.time() + 0.05)
    soon, _ = create(database, expires_at=time.time() + 3600)
    time.sleep(0.1)
    with database.begin() as conn:
        first = keys.revoke(conn, key.id)
        assert keys.revoke(conn, key.id) == first  # the moment stays
    for refused in (plain, late):
        with pytest.raises(InvalidKey, match="invalid or may have expired"):
            authenticate(database, refused)
    assert authenticate(database, soon)


def test_rotation_with_and_without_grace(database):
    plain, key = create(database)
    with database.begin() as conn:
        second, rotated = keys.rotate(conn, key.id, grace_s=3600)
    assert rotated.id == key.id
    assert authenticate(database, plain).id == authenticate(database, second).id == key.id
    with database.begin() as conn:
        third, _ = keys.rotate(conn, key.id)
    assert authenticate(database, third).id == key.id
    for refused in (plain, second):
        with pytest.raises(InvalidKey):
            authenticate(database, refused)
    with database.begin() as conn:
        keys.revoke(conn, key.id)
    with pytest.raises(InvalidInput, match="revoked"), database.begin() as conn:
        keys.rotate(conn, key.id)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("scopes", [[], ["paint"], ["draw", "root"]])
def test_unknown_scopes_are_refused_with_those_that_exist(database, scopes):
    with pytest.raises(InvalidInput, match="draw, read, admin"):
        create(database, scopes=scopes)


def test_two_keys_share_an_account(database):
    _, first = create(database, credits_micro=10)
    _, second = create(database, account_id=first.account_id, credits_micro=5)
    with database.read() as conn:
        assert ledger.balance(conn, first.account_id).available_micro == 15
        assert keys.listing(conn, account_id=first.account_id) == [first, second]
    with pytest.raises(NotFound):
        create(database, account_id="acc_nobody")
    with pytest.raises(NotFound):
        create(database, account_id="income")


def test_the_spending_cap(database):
    _, key = create(database, spend_cap_micro=100)
    with database.begin() as conn:
        keys.reserve(conn, key.id, 60)
        keys.reserve(conn, key.id, 40)
    with pytest.raises(InsufficientCredits, match=r"0 more .*0\.000001"), database.begin() as conn:
        keys.reserve(conn, key.id, 1)
    with database.begin() as conn:
        keys.give_back(conn, key.id, 40)
        keys.reserve(conn, key.id, 40)
        assert keys.limit(conn, key.id, spend_cap_micro=None).spend_cap_micro is None
        keys.reserve(conn, key.id, 10**12)
        assert keys.get(conn, key.id).spent_micro == 100 + 10**12


def test_limits_are_changed_by_name(database):
    _, key = create(database, requests_per_minute=3, concurrency=4)
    assert (key.requests_per_minute, key.concurrency) == (3, 4)
    with database.begin() as conn:
        changed = keys.limit(conn, key.id, requests_per_minute=7)
    assert (changed.requests_per_minute, changed.concurrency) == (7, 4)
    with pytest.raises(InvalidInput, match="hash"), database.begin() as conn:
        keys.limit(conn, key.id, hash="x")


def test_licences_are_accepted_by_version(database):
    _, key = create(database)
    _, other = create(database)
    with database.begin() as conn:
        assert not keys.has_accepted(conn, key.id, "rail")
        for _ in range(2):
            keys.accept_licence(conn, key.id, "rail", "2022")
        assert keys.has_accepted(conn, key.id, "rail")
        assert keys.has_accepted(conn, key.id, "rail", "2022")
        assert not keys.has_accepted(conn, key.id, "rail", "2023")
        assert not keys.has_accepted(conn, other.id, "rail")
        record = conn.execute(select(acceptances)).one()
        assert abs(record.accepted_at - time.time()) < 60


def test_no_price_is_named_before_it_is_known(database):
    with database.begin() as conn:
        _, key = keys.create(conn, name="k", spend_cap_micro=5)
        keys.check_cap(key, 0)
        keys.reserve(conn, key.id, 5)
        with pytest.raises(InsufficientCredits, match=r"^Insufficient credits: .* 0 more$"):
            keys.check_cap(keys.get(conn, key.id), 0)
        with pytest.raises(InsufficientCredits, match=r"^Insufficient credits: the balance is 0$"):
            ledger.afford(conn, key.account_id, 0)
