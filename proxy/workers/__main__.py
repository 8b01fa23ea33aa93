"""`python -m proxy.workers DESCRIPTOR`: a worker process. Only its parent starts it."""

import asyncio
import socket
import sys

from proxy.cli.loop import end_anyway, loop_factory, tune_process
from proxy.workers.worker import work

tune_process()
with asyncio.Runner(loop_factory=loop_factory()) as runner:
    status = runner.run(work(socket.socket(fileno=int(sys.argv[1]))))
    otherwise = end_anyway(status)
otherwise.cancel()
sys.exit(status)
