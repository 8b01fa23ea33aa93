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
