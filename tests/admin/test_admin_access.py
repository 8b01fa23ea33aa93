"""Only who belongs here may ask: by Host, Origin and token."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.secrets import Secret
from proxy.errors import ClientError
from proxy.server.admin.access import check_host, check_origin, check_token, host_of


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("localhost", "localhost"),
        ("LOCALHOST:8081", "localhost"),
        ("127.0.0.1:8081", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:8081", "::1"),
        ("a.example:1", "a.example"),
        ("", None),
        (":8081", None),
        ("localhost:", None),
        ("localhost:80a", None),
        ("localhost:\u0663", None),
        ("[::1", None),
        ("[]", None),
        ("[::1]8081", None),
        ("::1", None),
        ("user@localhost", "user@localhost"),
    ],
)
def test_an_authority_has_one_host_or_none(authority, host):
    assert host_of(authority) == host


@pytest.mark.parametrize("authority", ["localhost", "127.0.0.1:8081", "127.9.9.9", "[::1]:8081", "own.example:1"])
def test_a_name_of_the_listener_is_let_in(authority):
    check_host(authority, {"own.example"})


@pytest.mark.parametrize(
    "authority",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8081",
        "10.0.0.1",
        "x@localhost",
    ],
)
def test_any_other_name_is_refused(authority):
    with pytest.raises(ClientError) as refused:
        check_host(authority, {"own.example"})
    assert refused.value.status == 403


def test_where_a_plain_address_will_do_a_name_still_does_not():
    check_host("10.0.0.1:8081", (), addresses=True)
    with pytest.raises(ClientError):
        check_host("evil.example", (), addresses=True)


@given(st.text(max_size=40))
def test_no_host_raises_anything_but_a_refusal(authority):
    with suppress(ClientError):
        check_host(authority, ())


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:8081", "https://127.0.0.1:8081", "HTTP://127.0.0.1:8081"])
def test_a_page_from_here_and_no_page_at_all_may_ask(origin):
    check_origin(origin, "127.0.0.1:8081")


@pytest.mark.parametrize("origin", ["null", "", "http://evil.example", "http://127.0.0.1:8080", "http://127.0.0.1"])
def test_a_page_from_elsewhere_may_not(origin):
    with pytest.raises(ClientError) as refused:
        check_origin(origin, "127.0.0.1:8081")
    assert refused.value.status == 403


@pytest.mark.parametrize("authorization", ["Bearer right", "bearer right", "Bearer  right "])
def test_the_token_opens(authorization):
    check_token(authorization, Secret("right"))


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic right", "right", "Bearer right right"])
def test_anything_else_does_not(authorization):
    with pytest.raises(ClientError) as refused:
        check_token(authorization, Secret("right"))
    assert refused.value.status == 401


@pytest.mark.parametrize("authorization", ["", "Bearer ", "Bearer None"])
def test_without_a_token_nobody_gets_in(authorization):
    with pytest.raises(ClientError):
        check_token(authorization, None)
