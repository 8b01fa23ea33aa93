"""The interpreter under the event loop, and the end of the program when something in it cannot be interrupted."""

import subprocess
import sys

CODE = """
import gc
gc.disable()
from proxy.cli.loop import GARBAGE, tune_process
tune_process()
assert gc.isenabled() and gc.get_threshold() == GARBAGE and gc.get_freeze_count() > 0

class Failure(Exception):
    pass

def answer(body):
    try:
        raise Failure
    except Failure as error:
        kept = error
    return body

class Body:
    count = most = 0
    def __init__(self):
        Body.count += 1
        Body.most = max(Body.most, Body.count)
    def __del__(self):
        Body.count -= 1

for _ in range(20_000):
    answer(Body())
print(Body.most)
"""


def test_what_failures_leave_behind_does_not_pile_up():
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert 100 < int(run.stdout) < 5_000


STUCK = """
import asyncio, time
from proxy.cli.loop import end_anyway
from proxy.telemetry.logs import configure
import logging

async def work():
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)
    logging.getLogger("sidestep").warning("the last word")

logs = configure("json", "info")
with asyncio.Runner() as runner:
    runner.run(work())
    end_anyway(7, logs.close)
"""


def test_a_thread_that_nobody_can_interrupt_does_not_keep_the_process():
    """As one does that looks a name up; it would take a minute, and takes every line of the log with it."""
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (7, "")
    assert "the last word" in done.stdout
