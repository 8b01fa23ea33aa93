"""A program of two workers over two honest providers, and its operator."""

from dataclasses import dataclass

import pytest
from lab.operator import Operator, managed
from lab.sidecar import Program, process


@dataclass
class Team:
    """The program, and what its operator sees of the workers."""

    program: Program
    operator: Operator

    async def workers(self):
        return (await self.operator.get("/admin/status"))["workers"]

    async def pids(self):
        return [each["pid"] for each in await self.workers()]

    async def ask_until_both_answered(self):
        """Ask on new connections, which the system deals out, until every worker has had some; how many it took."""
        asked = 0
        while True:
            for _ in range(8):
                assert (await self.program.chat("hello")).status == 200
            asked += 8
            if all(each["total_requests"] for each in await self.workers()):
                return asked
            assert asked < 400, "one of the workers gets nothing"


@pytest.fixture
async def team(p1, p2):
    async with process(managed({"p1": p1, "p2": p2}), "--workers", "2") as program:
        yield Team(program, Operator(program))
