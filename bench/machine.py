"""The machine that was measured on, in the words of the reports."""

import os
import platform
import resource
from importlib import metadata
from pathlib import Path

DISTRIBUTIONS = ("aiohttp", "uvloop", "sidestep")


def describe() -> dict[str, str]:
    """What a reader must know to compare figures with their own."""
    told = {
        "cpu": cpu_model(Path("/proc/cpuinfo").read_text()),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    return told | {name: metadata.version(name) for name in DISTRIBUTIONS}


def cpu_model(cpuinfo: str) -> str:
    """The first processor's name in /proc/cpuinfo, which not every architecture tells."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model", "Hardware"}:
            return value.strip()
    return "unknown"


def raise_descriptor_limit() -> int:
    """Let us and our children open as many descriptors as the system allows; tells how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
