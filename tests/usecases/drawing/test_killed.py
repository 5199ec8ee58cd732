"""kill -9 at random moments: nothing lost, nothing billed twice, one set of bytes for each key."""

import json
import random
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import pytest
from sqlalchemy import func, select

from limner.store import audit, images, ledger
from limner.store.db import Database
from limner.store.schema import requests
from tests.store.databases import customer
from tests.usecases.mortal import LEASE_S
from tests.waiting import LONG_S, wait_until

ROOT = Path(__file__).parents[3]
GRANTED = 1_000_000
ENDS_S = 400  # for the last life to draw all, where a machine is busy
# Euler, 3 steps, guidance 2, two samples of one tile.
PRICE = 12


class Mortal:
    """One life of the server; ``given`` collects what it handed out."""

    def __init__(self, url, folder, key, wanted, given):
        command = [sys.executable, "-m", "tests.usecases.mortal", url, str(folder), key.id]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.process.stdin.write(json.dumps(wanted) + "\n")
        self.process.stdin.flush()
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self.read, args=[given])
        self.reader.start()

    def read(self, given):
        for line in self.process.stdout:
            if line == "ready\n":
                self.ready.set()
            elif line.endswith("\n"):
                kind, name, digest = line.split()
                given[kind, name].add(digest)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("rounds", [1, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_random_moments(url, database, tmp_path, rounds):
    key, dice, given = customer(database, GRANTED), random.Random(rounds), defaultdict(set)
    each = 6
    wanted = {"sync": [], "queued": []}
    for turn in range(rounds):
        wanted["sync"] += [f"{turn}{letter}" for letter in "abcdef"[:each]]
        wanted["queued"] += [f"{turn}{letter}" for letter in "abcdef"[:each]]
        # Those already served ask again, too: a client cannot know that its answer was sent.
        recent = {kind: names[-3 * each :] for kind, names in wanted.items()}
        life = Mortal(url, tmp_path, key, recent, given)
        assert life.ready.wait(LONG_S)
        time.sleep(dice.uniform(0, 0.4))
        life.kill()
    last = Mortal(url, tmp_path, key, wanted, given)
    assert last.process.wait(ENDS_S) == 0
    last.reader.join()
    expect_exact(database, tmp_path, key, wanted, given)


def expect_exact(database, tmp_path, key, wanted, given):
    names = {(kind, name) for kind, all_names in wanted.items() for name in all_names}
    assert set(given) == names
    assert {len(digests) for digests in given.values()} == {1}
    with database.read() as conn:
        assert audit.check(conn, time.time() + audit.LOST_AFTER_S - LEASE_S) == []
        completed = select(func.count()).where(requests.c.status == "COMPLETED")
        assert conn.execute(completed).scalar() == len(names)
        balance = ledger.balance(conn, key.account_id)
        assert balance == ledger.Balance(GRANTED - PRICE * len(names), 0)
        stored = set(conn.execute(select(images.pictures.c.file)).scalars())
    found = {str(p.relative_to(tmp_path / "pictures")) for p in tmp_path.rglob("*.png")}
    assert stored <= found


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_killed_servers_holds_come_back_from_a_living_sibling(url, database, tmp_path):
    """While one process lives, the holds of a killed one return within its lease."""
    key, given = customer(database, GRANTED), defaultdict(set)
    names = {"sync": [str(i) for i in range(40)], "queued": []}
    doomed = Mortal(url, tmp_path, key, names, given)
    assert doomed.ready.wait(LONG_S)
    living = Mortal(url, tmp_path, key, {"sync": [], "queued": ["late"]}, given)
    with_holds = Database.open(url)
    wait_until(lambda: held(with_holds, key) >= 5 * PRICE or doomed.process.poll() is not None)
    doomed.kill()
    assert living.process.wait(ENDS_S) == 0
    living.reader.join()
    second = Mortal(url, tmp_path, key, names, given)
    assert second.process.wait(ENDS_S) == 0
    second.reader.join()
    with_holds.close()
    expect_exact(database, tmp_path, key, {**names, "queued": ["late"]}, given)


def held(database, key):
    with database.read() as conn:
        return ledger.balance(conn, key.account_id).held_micro
