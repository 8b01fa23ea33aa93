"""Who may ask the operator's listener, over the wire, and how it answers."""

import logging

import pytest
from lab.configuration import refusing
from lab.operator import READS, TOKEN, WRITES, Operator, managed
from lab.sidecar import running

EVERYTHING = [*(("GET", path) for path in (*READS, "/admin/events")), *WRITES]


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1]])
async def test_nothing_is_told_or_changed_without_the_token(operator, method, path, token):
    response = await operator.ask(method, path, token=token)
    assert response.status == 401
    assert response.headers.get("www-authenticate") == "Bearer"
    assert response.json()["error"]["code"] == "invalid_admin_token"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_probes_and_metrics_need_no_token(operator, path):
    assert (await operator.ask("GET", path, token=None)).status == 200


@pytest.mark.parametrize("path", READS)
async def test_with_the_token_everything_can_be_read(operator, path):
    response = await operator.ask("GET", path)
    assert response.status == 200
    assert response.headers.get("content-type") == "application/json"
    assert isinstance(response.json(), dict)


@pytest.mark.parametrize("path", ["/metrics", *READS, "/admin/nothing", "/"])
async def test_no_answer_is_stored_or_sniffed(operator, path):
    response = await operator.ask("GET", path)
    assert response.headers.get("cache-control") == "no-store"
    assert response.headers.get("x-content-type-options") == "nosniff"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8081", "127.0.0.1.evil.example", "", "10.0.0.1"])
async def test_a_foreign_host_is_refused_even_with_the_token(operator, host):
    response = await operator.ask("GET", "/admin/status", headers={"Host": host})
    assert (response.status, response.json()["error"]["code"]) == (403, "foreign_host")


@pytest.mark.parametrize("host", ["localhost", "LocalHost:9", "127.0.0.1:8081", "[::1]:8081", "127.1.2.3"])
async def test_every_name_of_loopback_is_its_own(operator, host):
    assert (await operator.ask("GET", "/admin/status", headers={"Host": host})).status == 200


async def test_a_name_of_the_configuration_is_its_own(p1):
    async with running(managed({"p1": p1}, hosts=["Sidestep.Internal"])) as sidecar:
        response = await Operator(sidecar).ask("GET", "/admin/status", headers={"Host": "sidestep.internal:8081"})
    assert response.status == 200


@pytest.mark.parametrize(("host", "status"), [("10.1.2.3:8081", 200), ("rebound.example", 403)])
async def test_metrics_are_read_by_address_but_not_by_a_foreign_name(operator, host, status):
    response = await operator.ask("GET", "/metrics", token=None, headers={"Host": host})
    assert response.status == status


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_page_from_elsewhere_is_refused_even_with_the_token(operator, origin):
    response = await operator.ask("POST", "/admin/stats/reset", headers={"Origin": origin})
    assert (response.status, response.json()["error"]["code"]) == (403, "foreign_origin")


async def test_a_page_from_here_may_ask(operator):
    headers = {"Host": "localhost:8081", "Origin": "http://localhost:8081"}
    assert (await operator.ask("GET", "/admin/status", headers=headers)).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/admin",
        "/admin/",
        "/admin/nothing",
        "/admin/status/",
        "//admin/status",
        "/admin//status",
        "/admin/./status",
        "/livez/../admin/status",
        "/admin/../admin/status",
        "/admin/%73tatus",
        "/%61dmin/status",
        "/admin%2fstatus",
        "/admin/providers/p1%2fdisable",
        "/admin/providers/%2e%2e/disable",
        "/admin/providers//disable",
        "/ADMIN/status",
        "/dashboard/%2e%2e/admin/status",
        "/dashboard/../admin/status",
        "/dashboard/",
        "/dashboard/index.html",
        "/dashboard//style.css",
        "/dashboard/%73tyle.css",
        "//",
    ],
)
async def test_no_other_spelling_of_a_path_reaches_anything(operator, path):
    assert (await operator.ask("GET", path)).status == 404


async def test_a_query_changes_nothing(operator):
    assert (await operator.ask("GET", "/admin/status?token=x")).status == 200


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
async def test_another_method_is_refused_and_told_the_right_one(operator, method, path):
    response = await operator.ask("DELETE", path)
    assert (response.status, response.headers.get("allow")) == (405, method)


async def test_a_token_that_is_not_ascii_is_wrong_and_nothing_worse(operator):
    assert (await operator.ask("GET", "/admin/status", token="t\xf6ken")).status == 401


async def test_without_any_token_nobody_manages_it():
    documents = managed({"p1": refusing()})
    del documents["server"]["admin"]["token"]
    async with running(documents) as sidecar:
        response = await Operator(sidecar).ask("GET", "/admin/status")
    assert response.status == 401


async def test_every_change_that_was_asked_for_is_logged_with_who_and_what(operator, caplog):
    caplog.set_level(logging.INFO, logger="sidestep.admin")
    await operator.ask("PUT", "/admin/routes/chat/strategy", {"strategy": "round_robin"})
    await operator.ask("POST", "/admin/providers/p1/disable", token="wrong")
    await operator.ask("GET", "/admin/status")
    lines = [(each.who, each.what, each.result) for each in caplog.records if each.name == "sidestep.admin"]
    assert lines == [
        ("127.0.0.1", "PUT /admin/routes/chat/strategy", 200),
        ("127.0.0.1", "POST /admin/providers/p1/disable", 401),
    ]
    assert caplog.records[0].asked == {"strategy": "round_robin"}
    assert TOKEN not in caplog.text
