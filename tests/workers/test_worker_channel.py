import asyncio
import socket

import pytest

from proxy.errors import ClientError, SidestepError
from proxy.workers.channel import ChannelClosedError, connect


@pytest.fixture
async def ends():
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    theirs.settimeout(0)
    one, other = await connect(ours), await connect(theirs)
    yield one, other
    one.close()
    other.close()


@pytest.fixture
async def talk(ends):
    """Let one end answer by a function and hear what the other tells; the asking end."""
    tasks = []

    def begin(answer, hear=None):
        one, other = ends
        tasks.extend([asyncio.create_task(one.serve(answer, hear)), asyncio.create_task(other.serve(answer, hear))])
        return one

    yield begin
    for end in ends:
        end.close()
    await asyncio.gather(*tasks)


async def test_a_question_gets_its_answer(talk):
    asking = talk(lambda question, details: [question, details])
    assert await asking.ask("what", name="x", more=[1, None]) == ["what", {"name": "x", "more": [1, None]}]


async def test_answers_come_in_any_order(talk):
    held = asyncio.Event()

    async def later():
        await held.wait()
        return "slow"

    asking = talk(lambda question, _: later() if question == "slow" else "quick")
    slow = asking.ask("slow")
    assert await asking.ask("quick") == "quick"
    held.set()
    assert await slow == "slow"


async def test_questions_are_begun_in_the_order_in_which_they_were_asked(talk):
    begun = []
    asking = talk(lambda question, _: begun.append(question))
    await asyncio.gather(*(asking.ask(str(number)) for number in range(20)))
    assert begun == [str(number) for number in range(20)]


async def test_a_large_answer_arrives_whole(talk):
    asking = talk(lambda question, _: "ä" * 3_000_000)
    assert await asking.ask("much") == "ä" * 3_000_000


async def test_a_refusal_is_the_same_error_on_this_side(talk):
    def refuse(question, _):
        raise ClientError("there is no such thing", status=404, code="unknown", param="name")

    with pytest.raises(ClientError, match="no such thing") as caught:
        await talk(refuse).ask("it")
    assert (caught.value.status, caught.value.code, caught.value.param) == (404, "unknown", "name")


async def test_a_mishap_is_an_error_that_quotes_nothing(talk, caplog):
    def fail(question, _):
        raise KeyError("a key that nobody should see")

    with pytest.raises(SidestepError) as caught:
        await talk(fail).ask("it")
    assert str(caught.value) == "a worker failed: KeyError"
    assert caught.value.status == 500


async def test_news_are_heard(talk, ends):
    heard = asyncio.Queue()
    talk(lambda question, _: None, lambda name, data: heard.put_nowait((name, data)))
    await ends[1].tell("request", {"status": 200})
    assert await heard.get() == ("request", {"status": 200})


async def test_whoever_waits_when_the_other_side_ends_is_told(talk, ends):
    asking = talk(lambda question, _: asyncio.Event().wait())
    waiting = asking.ask("for ever")
    ends[1].close()
    with pytest.raises(ChannelClosedError):
        await waiting


async def test_whoever_asks_after_the_end_is_told(talk, ends):
    asking = talk(lambda question, _: None)
    asking.close()
    with pytest.raises(ChannelClosedError):
        await asking.ask("anybody")


async def test_an_answer_that_nobody_waits_for_any_more_harms_nobody(talk):
    held = asyncio.Event()
    asking = talk(lambda question, _: held.wait() if question == "slow" else True)
    asking.ask("slow").cancel()
    held.set()
    assert await asking.ask("next") is True
