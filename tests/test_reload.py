import asyncio
from contextlib import asynccontextmanager

import pytest

from proxy.engine import Engine
from proxy.reload import Reloader, Source

ROUTES = """
version: 1
providers:
  only: {{dialect: openai, base_url: "http://127.0.0.1:9/v1", timeout: {timeout}}}
routes:
  - {{name: chat, match: {{path: /v1/chat/completions}}, providers: [only]}}
"""


class Steps:
    """A clock whose every sleep lasts until the test lets it end."""

    def __init__(self):
        self.asleep = asyncio.Event()
        self.woken = asyncio.Event()

    def now(self):
        return 0.0

    async def sleep(self, seconds):
        self.asleep.set()
        await self.woken.wait()
        self.woken.clear()

    async def look(self):
        """Let one look happen, and wait until it is over."""
        await self.asleep.wait()
        self.asleep.clear()
        self.woken.set()
        await self.asleep.wait()


class Overtaken(Source):
    """Files that somebody writes just after the reader has looked at them."""

    def __init__(self, **fields):
        super().__init__(**fields)
        self.meanwhile = lambda: None
        self.looks = 0

    def signature(self):
        found = super().signature()
        self.looks += 1
        if self.looks == 4:  # one at the start, two that agree, and then the reader's own
            self.meanwhile()
        return found


class Watched:
    def __init__(self, folder):
        self.file = folder / "routes.yaml"
        self.write("10s")
        self.source = Overtaken(routes=self.file, policies=None, environment={})
        self.clock = Steps()
        self.engine = Engine(self.clock)
        self.engine.adopt(self.source.load())
        self.results = []
        self.reloader = Reloader(self.engine, self.source, self.clock, self.results.append)

    def write(self, timeout):
        self.file.write_text(ROUTES.format(timeout=timeout))

    @property
    def timeout(self):
        return self.engine.generation.snapshot.providers["only"].timeout

    @asynccontextmanager
    async def watching(self):
        task = asyncio.create_task(self.reloader.watch())
        try:
            yield
        finally:
            task.cancel()


@pytest.fixture
async def watched(tmp_path):
    return Watched(tmp_path)


async def test_a_change_is_in_force_after_two_looks(watched):
    async with watched.watching():
        await watched.clock.look()
        watched.write("20s")
        await watched.clock.look()
        await watched.clock.look()
    assert watched.timeout == 20.0
    assert [result.changed.changed for result in watched.results] == [("provider only: timeout",)]


async def test_a_change_between_the_start_and_the_first_look_is_not_lost(watched):
    watched.write("20s")
    async with watched.watching():
        await watched.clock.look()
        await watched.clock.look()
    assert watched.timeout == 20.0


async def test_a_file_that_is_still_being_written_is_not_read(watched):
    async with watched.watching():
        for piece in range(5):
            watched.file.write_text(f"version: 1\n# piece {piece} {'x' * piece}\n")
            await watched.clock.look()
        assert watched.results == []
        watched.write("20s")
        await watched.clock.look()
        await watched.clock.look()
    assert watched.timeout == 20.0
    assert len(watched.results) == 1


async def test_a_file_that_begins_to_be_written_as_it_is_read_is_left_for_later(watched):
    """Half a file may well be a good one: the next write has got as far as `1` of `15s`, so to speak."""
    watched.write("20s")
    watched.source.meanwhile = lambda: watched.write("1s")
    async with watched.watching():
        await watched.clock.look()
        await watched.clock.look()
        assert watched.timeout == 10.0
        watched.write("15s")
        await watched.clock.look()
        await watched.clock.look()
    assert watched.timeout == 15.0
    assert len(watched.results) == 1


async def test_a_bad_file_changes_nothing_and_is_told_once(watched):
    before = watched.engine.generation
    async with watched.watching():
        watched.file.write_text("version: 1\nproviders: [\n")
        for _ in range(4):
            await watched.clock.look()
    assert watched.engine.generation is before
    assert watched.reloader.stale
    assert [len(result.problems) > 0 for result in watched.results] == [True]


async def test_a_good_file_after_a_bad_one_is_taken(watched):
    async with watched.watching():
        watched.file.write_text("nonsense: [")
        await watched.clock.look()
        await watched.clock.look()
        watched.write("30s")
        await watched.clock.look()
        await watched.clock.look()
    assert watched.timeout == 30.0
    assert not watched.reloader.stale


async def test_a_deleted_file_leaves_the_last_good_generation(watched):
    async with watched.watching():
        watched.file.unlink()
        await watched.clock.look()
        await watched.clock.look()
    assert watched.timeout == 10.0
    assert watched.reloader.stale


async def test_a_config_map_s_symlink_swap_is_seen(tmp_path):
    for name, timeout in (("first", "10s"), ("second", "20s")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "routes.yaml").write_text(ROUTES.format(timeout=timeout))
    (tmp_path / "..data").symlink_to("first")
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (mounted / "routes.yaml").symlink_to("../..data/routes.yaml")
    source = Source(routes=mounted / "routes.yaml", policies=None, environment={})
    clock = Steps()
    engine = Engine(clock)
    engine.adopt(source.load())
    task = asyncio.create_task(Reloader(engine, source, clock, lambda result: None).watch())
    (tmp_path / "..swap").symlink_to("second")
    (tmp_path / "..swap").rename(tmp_path / "..data")
    await clock.look()
    await clock.look()
    task.cancel()
    assert engine.generation.snapshot.providers["only"].timeout == 20.0


async def test_a_new_policy_file_is_seen(watched):
    async with watched.watching():
        policies = watched.file.parent / "policies"
        policies.mkdir()
        (policies / "default.yaml").write_text("version: 1\nattempts: 7\n")
        await watched.clock.look()
        await watched.clock.look()
    assert watched.engine.generation.snapshot.policies["default"].attempts == 7


async def test_what_needs_a_restart_is_said(watched):
    watched.file.write_text("server: {listen: '127.0.0.1:9999'}\n" + ROUTES.format(timeout="10s"))
    result = await watched.reloader.reload()
    assert result.changed.needs_restart == ("server.listen",)


async def test_state_outlives_a_reload_unless_something_else_is_dialled(watched):
    registry = watched.engine.registry
    before = registry.provider(watched.engine.generation.snapshot.providers["only"], "chat")
    watched.write("20s")
    await watched.reloader.reload()
    assert registry.provider(watched.engine.generation.snapshot.providers["only"], "chat") is before
    watched.file.write_text(ROUTES.format(timeout="20s").replace("127.0.0.1:9/", "127.0.0.1:10/"))
    await watched.reloader.reload()
    assert registry.provider(watched.engine.generation.snapshot.providers["only"], "chat") is not before
