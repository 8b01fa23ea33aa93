"""A bystander in a process of its own: asks /livez twenty times a second and writes down how long that took.

`python pulse.py PORT FILE` appends a line `monotonic seconds` for each. In a process of its own, so that the lab's own
load does not slow its watch.
"""

import socket
import sys
import time
from pathlib import Path

EVERY = 0.05
QUESTION = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def watch(port: int, file: Path) -> None:
    """Ask until the gateway is gone."""
    with file.open("a", buffering=1) as log, socket.create_connection(("127.0.0.1", port), timeout=30) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            asked = time.monotonic()
            wire.sendall(QUESTION)
            if not wire.recv(4096):
                return
            log.write(f"{asked} {time.monotonic() - asked}\n")
            time.sleep(EVERY)


if __name__ == "__main__":
    try:
        watch(int(sys.argv[1]), Path(sys.argv[2]))
    except OSError:
        sys.exit(0)  # the gateway ended, and with it the watch
