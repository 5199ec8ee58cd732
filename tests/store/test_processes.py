"""Telling whether a process has ended: sure, or silent."""

import os
import subprocess
import sys

import pytest

from limner.store import leases, processes

pytestmark = pytest.mark.skipif(
    processes.UNKNOWN in processes.identity(), reason="this system does not tell enough"
)


def test_this_process_lives():
    assert not processes.has_ended(processes.identity())


def test_a_killed_process_has_ended_even_before_it_is_waited_for():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = processes.identity(child.pid)
    assert not processes.has_ended(name)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie from here on
    assert processes.has_ended(name)
    child.communicate()
    assert processes.has_ended(name)


def test_a_later_process_with_the_same_number_is_another():
    place, pid, start = processes.identity().rsplit("/", 2)
    assert processes.has_ended(f"{place}/{pid}/{int(start) - 1}")


@pytest.mark.parametrize("name", ["", "host:12", "?/1/2", "boot/pid:[1]/999999999/1", "//x/"])
def test_of_other_machines_and_foreign_texts_nothing_is_said(name):
    assert not processes.has_ended(name)


def test_the_lease_of_an_ended_process_ends_with_it(database):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with database.begin() as conn:
        mine, theirs = leases.open(conn), leases.open(conn)
        row = leases.leases.c.id == theirs
        other = processes.identity(child.pid)
        conn.execute(leases.leases.update().where(row).values(process=other))
        leases.close_ended(conn)
        assert leases.renew(conn, theirs)
    child.kill()
    child.communicate()
    with database.begin() as conn:
        leases.close_ended(conn)
        assert leases.renew(conn, mine)
        assert not leases.renew(conn, theirs)
