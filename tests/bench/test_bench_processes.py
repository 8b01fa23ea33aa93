"""Everything that a program has started is counted with it, and ends with it."""

import os
import sys
import time
from pathlib import Path

import pytest

from bench.processes import TICKS, Process, Program, everybody, family, parse_stat

STAT = "42 (odd) name (x) S 7 42 40 0 -1 4194560 1 0 0 0 250 50 9 9 20 0 3 0 100 1000 25 18446744073709551615"


def process(pid, parent, session, state="S"):
    return Process(pid, state, parent, session, cpu=0.0, threads=1, rss=0)


def test_a_name_with_brackets_and_blanks_does_not_shift_the_fields():
    found = parse_stat(STAT)
    assert (found.pid, found.state, found.parent, found.session, found.threads) == (42, "S", 7, 40, 3)
    assert found.cpu == 300 / TICKS
    assert found.rss == 25 * os.sysconf("SC_PAGE_SIZE")


def test_a_family_is_the_session_and_all_descendants_but_no_dead():
    leader, orphan, runaway, grandchild = process(1, 0, 1), process(2, 99, 1), process(3, 1, 3), process(4, 3, 4)
    stranger, dead = process(5, 99, 5), process(6, 1, 1, state="Z")
    found = family(1, [grandchild, stranger, dead, runaway, orphan, leader])
    assert {each.pid for each in found} == {1, 2, 3, 4}


def test_we_are_among_everybody():
    assert os.getpid() in {each.pid for each in everybody()}


STUBBORN = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
children = [os.fork()]
if not children[0]:
    os.setsid()
pathlib.Path(sys.argv[1], f"{os.getpid()}").touch()
time.sleep(600)
"""


def left_behind(*pids):
    return {each.pid for each in everybody() if each.pid in pids and each.state not in "ZX"}


@pytest.mark.parametrize("mishap", [None, KeyboardInterrupt, RuntimeError])
def test_whatever_happens_nobody_of_a_stubborn_program_is_left(tmp_path, monkeypatch, mishap):
    monkeypatch.setattr("bench.processes.ORDERLY_END", 0.05)
    until = time.monotonic() + 30
    cores, pids = os.sched_getaffinity(0), []
    try:
        with Program([sys.executable, "-c", STUBBORN, str(tmp_path)], cores) as program:
            while len(pids) < 2 and time.monotonic() < until:
                pids = [int(path.name) for path in Path(tmp_path).iterdir()]
                time.sleep(0.01)
            assert {each.pid for each in program.members()} == set(pids)
            assert program.threads() == 2
            assert program.rss() > 0
            if mishap:
                raise mishap
    except (KeyboardInterrupt, RuntimeError):
        assert mishap
    assert len(pids) == 2
    assert not left_behind(*pids)
    assert os.sched_getaffinity(0) == cores
