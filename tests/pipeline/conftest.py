"""Every test of the pipeline runs in virtual time: its loop never waits, it moves the clock to whatever is due next."""

from staging import VirtualLoop


def pytest_asyncio_loop_factories(config, item):
    return {"virtual": VirtualLoop}
