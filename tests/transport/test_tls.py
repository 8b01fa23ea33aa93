"""TLS to providers: who is believed, who is shown our certificate, and that nothing is ever sent in the clear."""

import ssl

import pytest
import trustme
from lab.tls import Authority
from lab.upstream import Upstream

from proxy.config.snapshot import Tls
from proxy.errors import ErrorClass


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def trusting(authority):
    return Tls(ca_file=str(authority.bundle))


async def outcome(caller, context, tls, **how):
    """What comes of asking an upstream with this certificate, and what arrived there."""
    async with Upstream("p1", tls=context) as upstream:
        told = await caller.ask(f"{upstream.url}/v1/models", method="GET", body=None, tls=tls, **how)
        return told, upstream.requests


async def test_a_certificate_of_an_authority_that_we_were_told_of_is_believed(caller, authority, trusting):
    told, requests = await outcome(caller, authority.good(), trusting)

    assert b"p1-small" in told
    assert len(requests) == 1


@pytest.mark.parametrize("kind", ["expired", "wrong_name", "unknown"])
async def test_a_certificate_that_is_wrong_is_connect_and_nothing_is_sent(caller, authority, trusting, kind):
    failure, requests = await outcome(caller, getattr(authority, kind)(), trusting)

    assert (failure.error_class, failure.sent) == (ErrorClass.CONNECT, False)
    assert "certificate" in failure.message
    assert requests == []


async def test_without_being_told_of_its_authority_a_certificate_is_not_believed(caller, authority):
    failure, requests = await outcome(caller, authority.good(), Tls())

    assert failure.error_class is ErrorClass.CONNECT
    assert requests == []


async def test_a_provider_that_speaks_no_tls_gets_nothing_in_the_clear(caller, trusting):
    async with Upstream("p1") as plain:
        failure = await caller.fail(f"https://127.0.0.1:{plain.port}/v1", tls=trusting, connect=0.1)

        assert (failure.error_class, failure.sent) == (ErrorClass.CONNECT, False)
        assert plain.requests == []


async def test_a_handshake_that_never_ends_is_connect_after_its_time_and_the_connection_is_closed(caller, trusting):
    async with Upstream("p1", fault="hang_on_connect") as silent:
        failure = await caller.fail(f"https://127.0.0.1:{silent.port}/v1", tls=trusting, connect=0.05)

        assert (failure.error_class, failure.sent) == (ErrorClass.CONNECT, False)
        assert "too long" in failure.message
        assert silent.requests == []
        await silent.until(lambda: silent.open_connections == 0)


async def test_our_certificate_is_shown_to_a_provider_that_wants_one(caller, authority, trusting, tmp_path):
    ours = trustme.CA()
    identity = ours.issue_cert("sidestep.example")
    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    identity.cert_chain_pems[0].write_to_path(str(certificate))
    identity.private_key_pem.write_to_path(str(key))
    context = authority.good()
    context.verify_mode = ssl.CERT_REQUIRED
    ours.configure_trust(context)
    tls = Tls(ca_file=trusting.ca_file, cert_file=str(certificate), key_file=str(key))

    told, _ = await outcome(caller, context, tls)
    assert b"p1-small" in told


@pytest.mark.parametrize("field", ["ca_file", "cert_file"])
async def test_a_file_that_cannot_be_read_is_connect_and_names_no_path(caller, authority, field):
    tls = Tls(**{field: "/nonexistent/canary.pem"})
    failure, requests = await outcome(caller, authority.good(), tls)

    assert (failure.error_class, failure.sent) == (ErrorClass.CONNECT, False)
    assert "canary" not in failure.message
    assert requests == []
