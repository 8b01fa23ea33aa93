"""A table of configurations that are wrong, and exactly where sidestep says so."""

import pytest

from proxy.config.load import load
from proxy.config.rules.breakers import breaker_faults, highest_ratio
from proxy.config.rules.routes import covers
from proxy.config.rules.server import refusals
from proxy.config.secrets import Secret
from proxy.config.snapshot import Address, Admin, BreakerSettings, Match, Server
from proxy.errors import ConfigError

HEAD = "version: 1\n"
PROVIDER = "  a: {dialect: openai, base_url: 'https://a.test/v1'}\n"
PROVIDERS = "providers:\n" + PROVIDER
ROUTE = "  - {name: chat, match: {path: /v1/chat/completions}, providers: [a]}\n"
ROUTES = "routes:\n" + ROUTE
GOOD = HEAD + PROVIDERS + ROUTES


@pytest.fixture
def problems(tmp_path):
    """Load one configuration, and tell its problems as (file name, line, column, message)."""

    def read(routes, environment=None, **policies):
        (tmp_path / "routes.yaml").write_text(routes)
        (tmp_path / "policies").mkdir()
        for name, source in policies.items():
            (tmp_path / "policies" / f"{name}.yaml").write_text(source)
        try:
            load(tmp_path / "routes.yaml", None, environment or {})
        except ConfigError as error:
            return [(p.file.rpartition("/")[2], p.line, p.column, p.message) for p in error.problems]
        return []

    return read


def provider(*lines):
    """A configuration whose only provider has these lines; the first of them is line 5 of the file."""
    body = "".join(f"    {line}\n" for line in lines)
    return HEAD + "providers:\n  a:\n    dialect: openai\n" + body + ROUTES


def openai(*lines):
    return provider("base_url: https://a.test/v1", *lines)


def pollinations(*lines):
    return provider("text_url: https://a.test/t", *lines).replace("dialect: openai", "dialect: pollinations")


def test_the_smallest_good_configuration_has_no_problem(problems):
    assert problems(GOOD) == []


@pytest.mark.parametrize(
    ("routes", "line", "column", "fragment"),
    [
        # shape
        ("", 1, 1, "a value is missing; it must be a mapping"),
        ("- a\n", 1, 1, "must be a mapping"),
        (PROVIDERS + ROUTES, 1, 1, "the key 'version' is missing"),
        ("version: 2\n" + PROVIDERS + ROUTES, 1, 10, "must be 1"),
        (HEAD + ROUTES, 1, 1, "the key 'providers' is missing"),
        (HEAD + PROVIDERS + "routes: []\n", 4, 9, "the list is empty"),
        (HEAD + "providers: {}\n" + ROUTES, 2, 12, "the mapping is empty"),
        (HEAD + "providers:\n" + ROUTES, 2, 11, "a value is missing"),
        (GOOD + "servr: {}\n", 6, 1, "unknown key 'servr'; did you mean 'server'?"),
        (GOOD + "server: {listn: x}\n", 6, 10, "unknown key 'listn'; did you mean 'listen'?"),
        (GOOD + "server: {zzz: x}\n", 6, 10, "unknown key 'zzz'"),
        (GOOD + "server: {client_keys: k}\n", 6, 23, "the value must be a list"),
        (GOOD + "server: {limits: 3}\n", 6, 18, "the value must be a mapping"),
        (GOOD + "server: {limits: {body: 25MB}}\n", 6, 25, "'25MB' has a unit that is not known"),
        (GOOD + "server: {limits: {body: 1B}}\n", 6, 25, "'1B' must be at least 1024B"),
        (GOOD + "server: {limits: {header_time: 2h}}\n", 6, 32, "'2h' must be at most 3600s"),
        (GOOD + "server: {limits: {body_time: 0s}}\n", 6, 30, "'0s' must be more than 0s"),
        (GOOD + "server: {drain: {delay: }}\n", 6, 25, "the value is missing"),
        (GOOD + "telemetry: {content: no}\n", 6, 22, "'no' is not true or false"),
        (GOOD + "telemetry: {traces: {sample: 101%}}\n", 6, 30, "'101%' must be at most 100%"),
        (GOOD + "telemetry: {traces: {endpoint: 'x:4317'}}\n", 6, 32, "is not an http or https URL"),
        (GOOD + "telemetry: {traces: {always_keep: [errors, errors]}}\n", 6, 35, "holds something twice"),
        (openai("supports: [chat, imags]"), 6, 22, "'imags' is not one of chat, tools"),
        (openai("supports: [chat, imags]"), 6, 22, "did you mean 'images'?"),
        (openai("timeout: 15"), 6, 14, "15 has no unit"),
        (openai("api_key: 12345"), 6, 14, "the value is not text; put it in quotes"),
        (openai("models: {default: ''}"), 6, 23, "the value is empty"),
        (openai("models: {x: [y]}"), 6, 17, "the value is not a single value"),
        (openai("breaker: {}"), 6, 14, "the mapping is empty"),
        (openai("rate_limit: {tools: 5/s}"), 6, 18, "unknown key 'tools'"),
        (openai("auth: never"), 6, 11, "'never' is not one of required, optional"),
        (GOOD.replace("  a:", "  a b:"), 3, 3, "the name 'a b' is not allowed"),
        (GOOD.replace("name: chat", "name: a/b"), 5, 12, "'a/b' is not allowed"),
        (GOOD.replace("chat/completions", "chat/completion"), 5, 32, "did you mean '/v1/chat/completions'?"),
        # providers
        (HEAD + PROVIDERS + PROVIDER.replace("a:", "b:", 1) + ROUTES, 4, 3, "no route uses the provider 'b'"),
        (provider("enabled: true"), 3, 3, "the key 'base_url' is missing"),
        (openai("text_url: https://a.test/t"), 6, 5, "text_url has no effect: the dialect openai uses base_url"),
        (pollinations("base_url: https://a.test"), 6, 5, "base_url has no effect"),
        (pollinations("image_url: https://a.test/i/"), 6, 5, "'images' is not in the provider's `supports`"),
        (openai("supports: [embeddings, tools]").replace("chat/completions", "embeddings"), 6, 28, "without 'chat'"),
        (openai("image_models: {a: b}"), 6, 5, "image_models has no effect: 'images' is not in"),
        (pollinations("supports: [chat, embeddings]"), 6, 22, "can only do chat, images, tools"),
        (openai("supports: [chat]", "rate_limit: {images: 5/s}"), 7, 18, "a limit for 'images' has no effect"),
        (openai("headers: {'a b': c}"), 6, 15, "'a b' is not a header's name"),
        (openai("headers: {X-A: c, x-a: d}"), 6, 23, "the header 'x-a' is given twice"),
        (openai("headers: {Host: c}"), 6, 15, "the header 'Host' follows from what is sent"),
        (openai("headers: {Content-Length: '3'}"), 6, 15, "the header 'Content-Length' follows"),
        (openai("headers: {Transfer-Encoding: chunked}"), 6, 15, "'Transfer-Encoding' follows"),
        (openai("headers: {Connection: close}"), 6, 15, "'Connection' follows"),
        (openai("headers: {Authorization: c}"), 6, 15, "the header 'Authorization' carries credentials"),
        (openai("headers: {X-Sidestep-Provider: c}"), 6, 15, "sidestep's own"),
        (openai('headers: {X-A: "b\\r\\nX-B: c"}'), 6, 20, "the value cannot stand in a header"),
        (openai("api_key: k").replace("https:", "http:"), 5, 15, "in clear; use https"),
        (openai().replace("https://", "https://user:pw@"), 5, 15, "the value holds credentials"),
        (openai().replace("/v1\n", "/v1?key=1\n", 1), 5, 15, "the value holds a query"),
        (openai("tls: {ca_file: /no/such/file}"), 6, 20, "ca_file cannot be read: No such file"),
        (openai('tls: {ca_file: "a\\0b"}'), 6, 20, "ca_file cannot be read"),
        (openai("tls: {key_file: /dev/null}"), 6, 11, "key_file has no effect without cert_file"),
        (openai("tls: {ca_file: /dev/null}").replace("https:", "http:"), 6, 5, "tls has no effect"),
        (openai("concurrency: {queue: 4}"), 6, 18, "the key 'max' is missing"),
        (openai("concurrency: {max: 0}"), 6, 24, "0 must be at least 1"),
        (openai("concurrency: {max: 1, queue: 0, wait: 1s}"), 6, 37, "wait has no effect: with `queue: 0` nobody"),
        (openai("retries: 4"), 6, 14, "more retries than the `attempts`"),
        (openai("timeout: 700s"), 6, 14, "timeout has no effect"),
        (openai("breaker: {open_for: 10m}"), 6, 25, "max_open_for is shorter than open_for"),
        (openai("breaker: {max_open_for: 10s}"), 6, 29, "max_open_for is shorter than open_for"),
        (openai("breaker: {failures: 1, ratio: 50%}"), 6, 35, "ratio has no effect"),
        (openai("breaker: {ratio: 80%}"), 6, 22, "ratio has no effect"),
        # routes
        (GOOD.replace("[a]", "[aa, a]"), 5, 67, "unknown provider 'aa'; did you mean 'a'?"),
        (GOOD.replace("[a]", "[a, a]"), 5, 70, "'a' is named twice"),
        (GOOD.replace("[a]", "[]"), 5, 66, "the list is empty"),
        (GOOD.replace("[a]}", "[a], policy: defalt}"), 5, 79, "unknown policy 'defalt'; did you mean 'default'?"),
        (
            GOOD + ROUTE.replace("path", "model: m, path").replace("name: chat", "name: b"),
            6,
            22,
            "this route is unreach",
        ),
        (GOOD.replace("chat/completions", "embeddings"), 5, 61, "'embeddings' is not in its `supports`"),
        (GOOD.replace("completions}", "completions, tools: true}"), 5, 80, "'tools' is not in its `supports`"),
        (
            openai("models: {x: y}").replace("completions}", "completions, model: z}"),
            8,
            77,
            "neither the route's model nor a default",
        ),
        (
            openai("supports: [images]", "image_models: {x: y}").replace(
                "chat/completions}", "images/generations, model: z}"
            ),
            9,
            79,
            "its `image_models` name neither",
        ),
        (
            openai("supports: [images]").replace("chat/completions}", "images/generations, tools: true}"),
            8,
            63,
            "no request to /v1/images/generations offers tools",
        ),
        # listeners
        (GOOD + "server:\n  listen: 0.0.0.0:8080\n", 7, 11, "set server.client_keys"),
        (GOOD + "server:\n  listen: 0.0.0.0:8080\n  client_keys: ['']\n", 7, 11, "set server.client_keys"),
        (GOOD + "server: {admin: {listen: '127.0.0.1:8080'}}\n", 6, 26, "the admin needs its own"),
        (GOOD + "server: {listen: '127.0.0.1:8081'}\n", 6, 9, "the admin needs its own"),
        # health
        (openai("health: {path: health}"), 6, 20, "is not a path: write /health"),
        (openai("health: {path: '/a b'}"), 6, 20, "is not a path"),
        (openai("health: {model: m}"), 6, 21, "model has no effect without `allow_cost: true`"),
        (openai("health: {allow_cost: true, path: /up}"), 6, 26, "allow_cost has no effect: `path` says"),
        (openai("health: {allow_cost: true}"), 6, 26, "`models` names no default"),
        (
            openai("health: {allow_cost: true, model: m, expect: {status: 200}}"),
            6,
            50,
            "expect has no effect with `allow_cost`",
        ),
        (openai("health: {}"), 6, 13, "the mapping is empty"),
        (openai("health: {unhealthy_after: 0}"), 6, 31, "0 must be at least 1"),
    ],
)
def test_a_problem_is_found_at_its_line_and_column(problems, routes, line, column, fragment):
    found = problems(routes)
    assert [(file, at, offset) for file, at, offset, _ in found] == [("routes.yaml", line, column)], found
    assert fragment in found[0][3]


@pytest.mark.parametrize(
    ("policy", "line", "column", "fragment"),
    [
        ("health: {intervall: 60s}\n", 2, 10, "did you mean 'interval'?"),
        ("health: {timeout: 0s}\n", 2, 19, "'0s' must be more than 0s"),
        ("degrade: [stale_cache]\n", 2, 11, "the value must be a mapping"),
        ("degrade: [{}]\n", 2, 11, "the mapping is empty"),
        ("degrade: [{model: m, static: s}]\n", 2, 11, "only one of these keys"),
        ("degrade: [{static: s}, {static: t}]\n", 2, 24, "the static answer above always succeeds"),
        ("degrade: [{stale_cache: {max_age: 1h}}]\n", 2, 25, "without `cache` in this policy nothing is kept"),
        ("cache: {ttl: 1h}\ndegrade: [{stale_cache: {max_age: 1h}}]\n", 3, 25, "no longer than cache.ttl"),
        (
            "cache: {ttl: 1s}\ndegrade: [{stale_cache: {max_age: 1h}}, {stale_cache: {max_age: 5m}}]\n",
            3,
            55,
            "an earlier step looks at least as far back",
        ),
        ("degrade: [{stale_cache: {}}]\n", 2, 25, "'max_age' is missing"),
        ("cache: {max_entries: 5}\n", 2, 8, "'ttl' is missing"),
        ("cache: {ttl: 5m, max_entries: 0}\n", 2, 31, "0 must be at least 1"),
        ("hedge: {tools: true}\n", 2, 8, "'delay' is missing"),
        ("hedge: {delay: p90}\n", 2, 16, "'p90' is neither a duration nor p50, p95 or p99"),
        ("hedge: {delay: 0s}\n", 2, 16, "'0s' must be more than 0s"),
        ("attempts: 1\nhedge: {delay: 1s}\n", 3, 8, "`attempts` allows one call"),
        ("retry: {replay: never}\nhedge: {delay: 1s}\n", 3, 8, "lets nothing be asked twice"),
        ("timeouts: {first_output: 2s, connect: 1s}\nhedge: {delay: 2s}\n", 3, 16, "the first call times out before"),
        ("strategy: primary\n", 2, 11, "did you mean 'primary_only'?"),
        ("attempts: 0\n", 2, 11, "0 must be at least 1"),
        ("attempts: 1.5\n", 2, 11, "1.5 is not a whole number"),
        ("errors: {cancelled: {breaker: true}}\n", 2, 10, "unknown key 'cancelled'"),
        ("errors: {timeout: {}}\n", 2, 19, "the mapping is empty"),
        ("breaker: {ratio: 0%}\n", 2, 18, "'0%' must be more than 0%"),
        ("breaker: {failures: 1, min_requests: 5}\n", 2, 38, "min_requests has no effect"),
        ("breaker: {open_for: 1h}\n", 2, 21, "max_open_for is shorter"),
        ("timeouts: {total: 10s, idle: 20s}\n", 2, 30, "idle has no effect: timeouts.total ends first"),
        ("timeouts: {first_output: 3s, connect: 4s}\n", 2, 39, "connect has no effect: timeouts.first_output"),
        ("retry: {backoff: {base: 6s}}\n", 2, 25, "base is longer than max"),
        ("retry: {backoff: {max: 100ms}}\n", 2, 24, "base is longer than max"),
        ("retry: {retry_after_max: 60}\n", 2, 26, "60 has no unit"),
    ],
)
def test_a_policy_s_problem_is_found_at_its_line_and_column(problems, policy, line, column, fragment):
    found = problems(GOOD, mine=HEAD + policy)
    assert [(file, at, offset) for file, at, offset, _ in found] == [("mine.yaml", line, column)], found
    assert fragment in found[0][3]


def test_a_model_to_degrade_to_must_be_served_by_someone(problems):
    found = problems(openai("models: {x: y}"), default=HEAD + "degrade: [{model: z}, {model: x}]\n")
    assert [(at, offset) for _, at, offset, _ in found] == [(2, 19)]


SPARE = (
    HEAD
    + PROVIDERS
    + PROVIDER.replace("  a:", "  b:")
    + "routes:\n"
    + ROUTE
    + ROUTE.replace("name: chat", "name: spare").replace("[a]", "[b]")
)


def test_a_route_to_degrade_to_needs_no_requests_of_its_own(problems):
    assert problems(SPARE, default=HEAD + "degrade: [{route: spare}]\n") == []


def test_without_the_step_it_would_be_unreachable(problems):
    assert "unreachable" in problems(SPARE, default=HEAD)[0][3]


@pytest.mark.parametrize(
    ("routes", "step", "fragment"),
    [
        (SPARE, "spar", "there is no route 'spar'; did you mean 'spare'?"),
        (SPARE.replace("[b]", "[a, b]").replace("[a]", "[a, b]"), "spare", "have been asked by then"),
    ],
)
def test_a_route_to_degrade_to_must_exist_and_bring_someone_new(problems, routes, step, fragment):
    found = problems(routes, default=HEAD + f"degrade: [{{route: {step}}}]\n")
    assert fragment in " ".join(message for *_, message in found)


PAIR = HEAD + PROVIDERS + PROVIDER.replace("  a:", "  b:")
TWO = PAIR + "routes:\n" + ROUTE.replace("[a]", "[a, b]")
HEDGED = HEAD + "hedge: {delay: 10s}\n"


def test_a_hedge_needs_a_second_provider_somewhere(problems):
    found = problems(GOOD, default=HEDGED)
    assert [(at, offset) for _, at, offset, _ in found] == [(2, 8)]
    assert "no route with this policy has a second provider" in found[0][3]


def test_a_hedge_between_two_providers_is_fine(problems):
    assert problems(TWO, default=HEDGED) == []


@pytest.mark.parametrize("own", [", timeout: 5s", ""])
def test_a_hedge_must_come_before_the_longest_time_out_of_its_providers(problems, own):
    both = TWO.replace("https://a.test/v1'", f"https://a.test/v1'{own}")
    found = problems(both, default=HEAD + "hedge: {delay: 20s}\n")
    assert [message for *_, message in found] == (
        ["delay has no effect: the first call times out before"] if own else []
    )


def test_a_hedge_of_requests_with_tools_must_allow_tools(problems):
    tools = TWO.replace("completions}", "completions, tools: true}")
    tools = tools.replace("https://a.test/v1'", "https://a.test/v1', supports: [chat, tools]")
    assert "all requests of its routes offer tools" in problems(tools, default=HEDGED)[0][3]


def test_a_hedge_of_images_must_be_allowed_to_replay_them(problems):
    images = TWO.replace("chat/completions", "images/generations")
    images = images.replace("https://a.test/v1'", "https://a.test/v1', supports: [images]")
    assert "`retry.replay: always`" in problems(images, default=HEDGED)[0][3]


@pytest.mark.parametrize("routes", [GOOD.replace("completions}", "completions, tools: true}"), GOOD])
def test_a_cache_needs_requests_whose_answers_are_kept(problems, routes):
    able = routes.replace("https://a.test/v1'", "https://a.test/v1', supports: [chat, tools]")
    found = problems(able, default=HEAD + "cache: {ttl: 5m}\n")
    assert [(at, offset) for _, at, offset, _ in found] == ([(2, 8)] if "tools: true" in routes else [])


def test_a_policy_without_routes_may_degrade_to_any_model(problems):
    assert problems(openai("models: {x: y}"), spare=HEAD + "degrade: [{model: z}]\n") == []


def test_a_weighted_route_needs_a_weight(problems):
    found = problems(openai("weight: 0"), default=HEAD + "strategy: weighted_round_robin\n")
    assert [(at, offset) for _, at, offset, _ in found] == [(8, 66)]
    assert "weight 0" in found[0][3]


def test_one_weight_is_enough_for_a_weighted_route(problems):
    assert problems(GOOD, default=HEAD + "strategy: weighted_round_robin\n") == []


def test_weights_do_not_matter_to_other_strategies(problems):
    assert problems(openai("weight: 0"), default=HEAD + "strategy: round_robin\n") == []


def test_retries_are_measured_by_the_roomiest_policy(problems):
    more = ROUTE.replace("name: chat", "name: b").replace("/v1/chat", "/v1").replace("[a]", "[a], policy: wide")
    routes = openai("supports: [chat, completions]", "retries: 5") + more
    assert problems(routes, wide=HEAD + "attempts: 6\n") == []


def test_retries_without_a_second_attempt_have_no_effect(problems):
    found = problems(openai("retries: 1"), default=HEAD + "attempts: 1\n")
    assert [(at, offset) for _, at, offset, _ in found] == [(6, 14)]


def test_a_short_total_does_not_blame_clocks_that_nobody_set(problems):
    assert problems(GOOD, default=HEAD + "timeouts: {total: 10s}\n") == []


def test_an_unused_policy_is_a_library_and_no_problem(problems):
    assert problems(GOOD, spare=HEAD) == []


def test_a_policy_s_file_name_is_its_name(problems):
    found = problems(GOOD, **{"my policy": HEAD})
    assert "file name uses letters" in found[0][3]


def test_two_routes_of_one_name_are_told_apart_by_nobody(problems):
    found = problems(GOOD + ROUTE.replace("path: /v1/chat/completions", "path: /v1/completions"))
    assert (6, 12, "another route has this name already") in [problem[1:] for problem in found]


def test_a_key_may_travel_in_clear_to_this_machine_only(problems):
    assert problems(openai("api_key: k").replace("https://a.test", "http://127.0.0.1:9")) == []


def test_all_problems_are_told_at_once_and_in_order(problems):
    routes = (GOOD + "zzz: 1\n").replace("name: chat", "name: [a]")
    found = problems(routes, mine=HEAD + "attempts: x\n")
    assert [(file, line) for file, line, *_ in found] == [("mine.yaml", 2), ("routes.yaml", 5), ("routes.yaml", 6)]


def test_a_name_from_the_environment_is_not_shown(problems):
    routes = GOOD.replace("[a]}", "[a, '${WHO}'], policy: '${WHAT}'}")
    found = problems(routes, {"WHO": "canary-a", "WHAT": "canary-defaul"})
    assert [message for *_, message in found] == [
        "unknown provider the value made from WHO",
        "unknown policy the value made from WHAT",
    ]


@pytest.mark.parametrize(
    ("earlier", "later", "covered"),
    [
        ({}, {}, True),
        ({}, {"model": "gpt-4*"}, True),
        ({"model": "gpt-*"}, {"model": "gpt-4"}, True),
        ({"model": "gpt-*"}, {"model": "gpt-4*"}, True),
        ({"model": "gpt-?"}, {"model": "gpt-*"}, False),
        ({"model": "gpt-4*"}, {"model": "gpt-*"}, False),
        ({"model": "gpt-4"}, {}, False),
        ({"model": "*]"}, {"model": "[ab]"}, False),
        ({"model": "[ab]"}, {"model": "[ab]"}, True),
        ({"stream": True}, {}, False),
        ({}, {"stream": True}, True),
        ({"stream": True}, {"stream": False}, False),
        ({"tools": True}, {"tools": True}, True),
        ({"headers": {"a": "1"}}, {"headers": {"a": "1", "b": "2"}}, True),
        ({"headers": {"a": "1"}}, {"headers": {"a": "2"}}, False),
        ({"headers": {"a": "1"}}, {}, False),
    ],
)
def test_a_match_covers_another_only_when_it_takes_all_of_it(earlier, later, covered):
    assert covers(Match(path="/v1/responses", **earlier), Match(path="/v1/responses", **later)) is covered


def test_routes_of_different_endpoints_never_cover_each_other():
    assert not covers(Match(path="/v1/responses"), Match(path="/v1/embeddings"))


@pytest.mark.parametrize("failures", range(1, 6))
@pytest.mark.parametrize("minimum", range(1, 9))
def test_the_highest_ratio_is_what_counting_every_sequence_finds(failures, minimum):
    """Every sequence of up to `minimum + failures` attempts that never has `failures` in a row, tried out."""

    def most(attempts):
        reached = {(0, 0)}  # (failures in a row at the end, failures in all)
        for _ in range(attempts):
            reached = {(0, total) for _, total in reached} | {
                (run + 1, total + 1) for run, total in reached if run + 1 < failures
            }
        return max(total for _, total in reached) / attempts

    expected = max(most(attempts) for attempts in range(minimum, minimum + failures + 1))
    assert highest_ratio(BreakerSettings(failures=failures, min_requests=minimum)) == pytest.approx(expected)


def test_a_breaker_is_blamed_only_for_keys_that_were_written():
    assert list(breaker_faults(BreakerSettings(failures=1), frozenset({"failures"}))) == []
    assert list(breaker_faults(BreakerSettings(open_for=900), frozenset({"failures"}))) == []


@pytest.mark.parametrize(
    ("data", "admin", "keys", "at_fault"),
    [
        (Address("127.0.0.1", 1), Address("127.0.0.1", 2), (), []),
        (Address("127.0.0.1", 0), Address("127.0.0.1", 0), (), []),
        (Address("127.0.0.1", 1), Address("127.0.0.2", 1), (), []),
        (Address("127.0.0.1", 1), Address("0.0.0.0", 1), (), ["admin"]),
        (Address("0.0.0.0", 1), Address("127.0.0.1", 1), (Secret("k"),), ["admin"]),
        (Address("::", 1), Address("127.0.0.1", 2), (), ["listen"]),
        (Address("my-host", 1), Address("127.0.0.1", 2), (), ["listen"]),
        (Address("my-host", 1), Address("127.0.0.1", 2), (Secret("k"),), []),
    ],
)
def test_listeners_are_refused_when_they_collide_or_serve_strangers(data, admin, keys, at_fault):
    server = Server(listen=data, admin=Admin(listen=admin), client_keys=keys)
    assert [path[1] for path, _ in refusals(server)] == at_fault


def test_a_paid_check_needs_a_provider_that_chats(problems):
    images = provider("base_url: https://a.test/v1", "supports: [images]", "health: {allow_cost: true, model: m}")
    found = problems(images.replace("/v1/chat/completions", "/v1/images/generations"))
    assert [message for *_, message in found] == [
        "allow_cost has no effect: 'chat' is not in the provider's `supports`"
    ]


@pytest.mark.parametrize(
    "health",
    [
        "{interval: 0s}",
        "{path: /health, expect: {status: 204}}",
        "{expect: {contains: gpt}}",
        "{allow_cost: true, model: m, interval: 10m}",
    ],
)
def test_a_provider_s_health_has_no_problem(problems, health):
    assert problems(openai(f"health: {health}")) == []
