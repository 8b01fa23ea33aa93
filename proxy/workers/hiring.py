"""Starting worker processes: little to import, so that a parent can do it before anything else."""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hired:
    """A worker process that waits for its first question."""

    process: "subprocess.Popen[bytes]"
    end: socket.socket
    """Our end of the channel."""

    def dismiss(self) -> None:
        """End it, if it has not ended, and leave nothing of it behind."""
        self.end.close()
        self.process.kill()
        self.process.wait()


def hire() -> Hired:
    """Start a worker. Raises OSError.

    It finds the very modules that run here, and none that lie in the working directory (hence `-P`).
    """
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    with theirs:
        process = subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-P", "-m", "proxy.workers", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
    return Hired(process, ours)
