"""The end of the program, when something in it cannot be interrupted."""

import subprocess
import sys

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
