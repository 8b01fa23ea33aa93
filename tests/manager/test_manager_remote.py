"""What only a manager of a sidecar elsewhere can meet: nobody there, a wrong key, a connection that breaks."""

import pytest
from lab.elsewhere import sidecar_elsewhere
from lab.operator import TOKEN
from lab.ports import unused_port
from lab.upstream import Upstream

from proxy import AIProviderManager, ManagementError

HELLO = [{"role": "user", "content": "hello"}]
KEY = "a-clients-own-key"


@pytest.fixture
async def impostor():
    """A provider's port, which answers at the very path of a sidecar's listener."""
    async with Upstream("impostor") as upstream:
        yield upstream


def connect(port, **options):
    return AIProviderManager.connect(f"http://127.0.0.1:{port}", "http://127.0.0.1:9", **options)


def connect_to(sidecar, **options):
    url, admin = (f"http://127.0.0.1:{port}" for port in (sidecar.port, sidecar.admin_port))
    return AIProviderManager.connect(url, admin, **options)


@pytest.fixture
def elsewhere(documents):
    with sidecar_elsewhere(documents) as sidecar:
        yield sidecar


async def test_a_sidecar_that_is_not_there_is_an_error_and_no_exception():
    async with connect(unused_port()) as manager:
        plain = await manager.generate_text(HELLO)
        streamed = [piece async for piece in manager.stream_text(HELLO)]
    assert (plain["code"], plain["status"], plain["attempts"]) == ("unreachable", 503, [])
    assert streamed == [plain]


async def test_a_sidecar_that_says_nothing_is_given_up_after_the_calls_own_timeout(impostor, monkeypatch):
    monkeypatch.setattr("proxy.manager.remote.GRACE", 0.05)
    impostor.fault = "hang"
    async with connect(impostor.port) as manager:
        result = await manager.generate_text(HELLO, timeout=0.05)
    assert (result["code"], result["status"]) == ("timeout", 503)
    await impostor.until(lambda: impostor.open_connections == 0)


@pytest.mark.parametrize("fault", ["reset", "truncated", "garbage", "not_json", "empty_body", "html", "redirect"])
async def test_whatever_answers_instead_of_a_sidecar_is_an_error_and_no_exception(impostor, fault):
    impostor.fault = fault
    async with connect(impostor.port) as manager:
        assert "error" in await manager.generate_text(HELLO)


@pytest.mark.parametrize("fault", ["cut:2", "cut_reset:2"])
async def test_a_stream_whose_connection_breaks_ends_in_an_error(impostor, fault):
    impostor.fault = fault
    async with connect(impostor.port) as manager:
        *pieces, last = [piece async for piece in manager.stream_text(HELLO)]
    assert "".join(piece["content"] for piece in pieces) == "impostor:1:0 impostor:1:1 "
    assert (last["code"], last["error"]) == ("bad_answer", "the connection to the sidecar broke")


async def test_a_redirect_is_not_followed_with_the_key(impostor, p1):
    impostor.fault = "redirect"
    async with connect(impostor.port, client_key=KEY) as manager:
        assert (await manager.generate_text(HELLO))["status"] in {301, 302, 307, 308}
    assert len(impostor.requests) == 1


async def test_the_clients_key_is_sent_with_every_request_and_shown_nowhere(impostor):
    manager = connect(impostor.port, client_key=KEY, token=TOKEN)
    async with manager:
        await manager.generate_text(HELLO)
    assert impostor.requests[0].headers.get("authorization") == f"Bearer {KEY}"
    backend = manager._backend
    shown = repr([vars(manager), vars(backend), backend._admin])
    assert KEY not in shown
    assert TOKEN not in shown


async def test_no_proxy_of_the_environment_gets_to_see_a_request(impostor, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_port()}")
    async with connect(impostor.port) as manager:
        assert "error" not in await manager.generate_text(HELLO)


async def test_the_address_may_be_the_one_that_openais_clients_take(impostor):
    async with AIProviderManager.connect(f"{impostor.url}/v1/") as manager:
        assert "error" not in await manager.generate_text(HELLO)
    assert impostor.requests[0].target == "/v1/chat/completions"


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://127.0.0.1", "http://", "http://name:word@127.0.0.1:8080"])
def test_what_is_no_address_is_refused_at_once(url):
    with pytest.raises(ValueError, match="no address of a sidecar") as caught:
        AIProviderManager.connect(url)
    assert "word" not in str(caught.value)


async def test_an_operators_listener_that_is_not_there_is_said():
    async with connect(unused_port(), token=TOKEN) as manager:
        with pytest.raises(ManagementError, match="not reachable"):
            manager.get_statistics()
        with pytest.raises(ManagementError, match="not reachable"):
            await manager.health_check_all()


async def test_a_wrong_token_is_said_and_not_shown(elsewhere):
    async with connect_to(elsewhere, token="a-wrong-token") as manager:
        with pytest.raises(ManagementError, match="the token is wrong") as caught:
            manager.get_statistics()
    assert "a-wrong-token" not in str(caught.value)


async def test_the_token_is_found_where_the_commands_find_it(elsewhere, monkeypatch):
    monkeypatch.setenv("SIDESTEP_ADMIN_TOKEN", TOKEN)
    async with connect_to(elsewhere) as manager:
        assert manager.get_statistics()["total_requests"] == 0


async def test_a_sidecar_that_wants_a_key_gets_it(documents):
    documents["server"]["client_keys"] = [KEY]
    with sidecar_elsewhere(documents) as sidecar:
        async with connect_to(sidecar) as stranger, connect_to(sidecar, client_key=KEY) as manager:
            refused, answered = await stranger.generate_text(HELLO), await manager.generate_text(HELLO)
    assert (refused["code"], refused["status"]) == ("invalid_client_key", 401)
    assert answered["provider"] == "pollinations"
