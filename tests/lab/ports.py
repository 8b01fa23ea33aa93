"""A port of 127.0.0.1 at which nobody listens: connecting to it is refused."""

import socket


def unused_port() -> int:
    """Return a port that was free a moment ago; Linux hands ephemeral ports out in turn, so it stays free for long."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
