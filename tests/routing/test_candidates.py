import pytest

from proxy.config.snapshot import Provider
from proxy.messages import CAPABILITIES, Operation
from proxy.routing.candidates import Excluded, Exclusion, serves, soonest


def provider(supports=("chat",)):
    return Provider(name="p", dialect="openai", supports=frozenset(supports))


@pytest.mark.parametrize(
    ("operation", "capability"),
    [
        (Operation.CHAT, "chat"),
        (Operation.IMAGES, "images"),
        (Operation.EMBEDDINGS, "embeddings"),
        (Operation.SPEECH, "audio"),
        (Operation.TRANSCRIPTIONS, "audio"),
    ],
)
def test_a_provider_serves_the_operations_it_lists(operation, capability):
    assert serves(provider((capability,)), CAPABILITIES[operation])
    assert not serves(provider(("moderations",)), CAPABILITIES[operation])


def test_a_request_with_tools_needs_a_provider_that_takes_tools():
    assert serves(provider(("chat", "tools")), "chat", tools=True)
    assert not serves(provider(("chat",)), "chat", tools=True)


def test_nobody_recovers_where_nobody_is_excluded():
    assert soonest([]) is None


def test_whom_waiting_does_not_help_never_recovers():
    assert soonest([Excluded("off", Exclusion.DISABLED, None), Excluded("tried", Exclusion.TRIED, None)]) is None


def test_the_shortest_wait_recovers_soonest():
    cooling = Excluded("cooling", Exclusion.COOLING_DOWN, 20.0)
    opened = Excluded("opened", Exclusion.OPEN, 5.0)
    assert soonest([Excluded("off", Exclusion.DISABLED, None), cooling, opened]) is opened


def test_of_equal_waits_the_first_is_named():
    first, second = Excluded("a", Exclusion.OPEN, 5.0), Excluded("b", Exclusion.OPEN, 5.0)
    assert soonest([first, second]) is first


def test_a_wait_without_end_is_no_recovery():
    assert soonest([Excluded("benched", Exclusion.COOLING_DOWN, float("inf"))]) is None
