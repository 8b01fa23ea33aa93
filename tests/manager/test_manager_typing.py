"""The public names are typed, for those who use the library and for mypy, which reads `typed_usage.py`."""

import subprocess
import sys
from pathlib import Path

import proxy

ROOT = Path(__file__).resolve().parents[2]


def test_a_type_checker_sees_what_the_methods_take_and_return():
    # An ignored error that is none is an error too, so the misuse in there has to be seen.
    command = [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", "tests/manager/typed_usage.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_says_that_it_is_typed():
    assert (Path(proxy.__file__).parent / "py.typed").exists()


def test_the_public_names_are_there_and_cost_nothing_until_they_are_used():
    code = (
        "import sys, proxy; assert not {'aiohttp', 'opentelemetry', 'yaml'} & set(sys.modules);"
        "from proxy import *; print(AIProviderManager.__name__, FailoverStrategy.__name__, ManagementError.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "AIProviderManager StrategyName ManagementError\n", done.stderr


def test_another_name_is_not_there():
    assert not hasattr(proxy, "AIProviderManger")
