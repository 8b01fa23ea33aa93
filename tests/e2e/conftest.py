"""Two providers of a pair, for every test that needs one to fail and one to answer."""

import pytest
from lab.configuration import routes


@pytest.fixture
def pair(p1, p2):
    return routes({"p1": p1, "p2": p2})
