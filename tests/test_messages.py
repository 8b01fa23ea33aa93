"""What is handed on says little of itself: reprs end up in logs and in errors."""

import pytest

from proxy.messages import Answer, Expect, Fed, Operation, Reply, Request, WireRequest

HEADERS = {"authorization": "Bearer canary"}


@pytest.mark.parametrize(
    "message",
    [
        Request(id="r", operation=Operation.CHAT, path="/", body=b"canary", document={"a": "canary"}, headers=HEADERS),
        WireRequest(
            method="POST", url="http://a.test/canary", headers=HEADERS, body=b"canary", model="m", expect=Expect.JSON
        ),
        Answer(body=b"canary"),
        Fed(b"canary", output=True),
        Reply(headers=HEADERS, body=b"canary"),
    ],
)
def test_nothing_that_was_said_and_no_key_is_in_a_repr(message):
    assert repr(message) == f"<{type(message).__name__}>"
