"""Programs that a few scenarios need and pip does not install."""

import shutil

PROGRAMS = {"faketime": "faketime", "cc": "gcc libc6-dev"}
"""Program -> what Debian calls the packages that bring it."""


def absent(program: str) -> bool:
    """Whether a scenario that needs it must be left out; none is needed by the empty name."""
    return bool(program) and shutil.which(program) is None


def remedy(program: str) -> str:
    """How to have it."""
    return f"apt-get install {PROGRAMS[program]}"
