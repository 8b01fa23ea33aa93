"""An upstream over TLS is trusted by who knows its authority, and only while the certificate is good."""

import ssl

import aiohttp
import pytest
from lab.tls import Authority
from lab.upstream import Upstream


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


async def status_over(context, authority):
    trust = ssl.create_default_context(cafile=authority.bundle)
    async with (
        Upstream(tls=context) as upstream,
        aiohttp.ClientSession() as session,
        session.get(upstream.url + "/v1/models", ssl=trust) as response,
    ):
        return response.status


async def test_a_good_certificate_is_accepted(authority):
    assert await status_over(authority.good(), authority) == 200


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("expired", "expired"),
        ("wrong_name", "IP address mismatch"),
        ("unknown", "unable to get local issuer|self.signed"),
    ],
)
async def test_a_bad_certificate_is_refused_for_its_reason(authority, fault, reason):
    with pytest.raises(aiohttp.ClientConnectorCertificateError, match=reason):
        await status_over(getattr(authority, fault)(), authority)
