"""From files to a snapshot."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.config.load import load
from proxy.config.secrets import Secret
from proxy.config.snapshot import Address, DegradeStep, ErrorRule, Policy, Provider, Rate, StrategyName
from proxy.errors import ConfigError, ErrorClass

ROUTES = """\
version: 1
server: {client_keys: ["${APP_KEY:-}", other], admin: {token: "${ADMIN:-}"}}
providers:
  a:
    dialect: openai
    base_url: http://127.0.0.1:1/v1/
    enabled: "${A_ENABLED:-true}"
    weight: "${A_WEIGHT:-2}"
    retries: "${A_RETRIES:-1}"
    rate_limit: {chat: "${A_RATE:-20}/min"}
    breaker: {window: 2m}
    tls_is_absent: 1
  b:
    dialect: openai
    base_url: https://b.test/v1
    api_key: "${B_KEY:-}"
  c: {dialect: pollinations, image_url: "https://c.test/p", supports: [chat, images]}
routes:
  - name: chat
    match: {path: /v1/chat/completions, headers: {X-Tier: batch}}
    providers: [a, b, c]
""".replace("    tls_is_absent: 1\n", "")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "routes.yaml").write_text(ROUTES)
    return tmp_path


def read(folder, policies=None, **environment):
    return load(folder / "routes.yaml", policies, environment)


def refused(folder, policies=None, **environment):
    with pytest.raises(ConfigError) as caught:
        read(folder, policies, **environment)
    return caught.value


def policy(folder, name, source):
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / name).write_text("version: 1\n" + source)


def test_values_from_the_environment_are_read_as_what_the_key_wants(folder):
    a = read(folder, A_ENABLED="false", A_WEIGHT="0.5", A_RETRIES="3", A_RATE="7").providers["a"]
    assert (a.enabled, a.weight, a.retries, a.rate_limit["chat"]) == (False, 0.5, 3, Rate(7, 60.0))


def test_a_variable_with_spaces_around_a_number_is_that_number(folder):
    assert read(folder, A_RETRIES=" 2 ").providers["a"].retries == 2


def test_unset_secrets_are_none_at_all(folder):
    snapshot = read(folder)
    assert snapshot.providers["b"].api_key is None
    assert snapshot.server.admin.token is None
    assert snapshot.server.client_keys == (Secret("other"),)


def test_secrets_do_not_show(folder):
    snapshot = read(folder, B_KEY="canary-b", ADMIN="canary-c", APP_KEY="canary-d")
    assert "canary" not in repr(snapshot)
    assert snapshot.providers["b"].api_key == Secret("canary-b")


def test_auth_is_optional_on_loopback_and_for_pollinations_only(folder):
    assert {name: p.auth for name, p in read(folder).providers.items()} == {
        "a": "optional",
        "b": "required",
        "c": "optional",
    }


def test_urls_end_as_their_users_expect(folder):
    providers = read(folder).providers
    assert providers["a"].base_url == "http://127.0.0.1:1/v1"
    assert providers["c"].image_url == "https://c.test/p/"
    assert providers["c"].text_url == "https://text.pollinations.ai/openai"


def test_a_provider_s_breaker_holds_only_what_it_says(folder):
    assert dict(read(folder).providers["a"].breaker) == {"window": 120.0}


def test_tls_files_are_looked_for_beside_the_routes_file(folder):
    (folder / "ca.pem").write_text("a certificate")
    source = ROUTES.replace("    api_key", "    tls: {ca_file: ca.pem}\n    api_key")
    (folder / "routes.yaml").write_text(source)
    assert read(folder).providers["b"].tls.ca_file == str(folder / "ca.pem")


def test_a_route_compares_header_names_in_lower_case(folder):
    assert dict(read(folder).routes[0].match.headers) == {"x-tier": "batch"}


def test_a_route_without_a_policy_gets_the_built_in_default(folder):
    snapshot = read(folder)
    assert snapshot.routes[0].policy == "default"
    assert dict(snapshot.policies) == {"default": Policy(name="default")}


def test_a_default_file_replaces_the_built_in_default(folder):
    policy(folder, "default.yml", "attempts: 7\n")
    assert read(folder).policies["default"] == Policy(name="default", attempts=7)


def test_every_part_of_a_policy_arrives(folder):
    policy(
        folder,
        "mine.yaml",
        "strategy: round_robin\nerrors: {content_policy: {other_provider: true}}\n"
        "retry: {budget: {ratio: 10%}, replay: always}\ndegrade: [{model: m}, {static: t}]\n",
    )
    mine = read(folder).policies["mine"]
    assert mine.strategy is StrategyName.ROUND_ROBIN
    assert dict(mine.errors) == {ErrorClass.CONTENT_POLICY: ErrorRule(other_provider=True)}
    assert {type(key) for key in mine.errors} == {ErrorClass}
    assert (mine.retry.budget.ratio, mine.retry.replay) == (0.1, "always")
    assert mine.degrade == (DegradeStep(model="m"), DegradeStep(static="t"))


def test_addresses_and_providers_are_objects_not_text(folder):
    snapshot = read(folder)
    assert snapshot.server.listen == Address("127.0.0.1", 8080)
    assert all(isinstance(provider, Provider) for provider in snapshot.providers.values())


def test_nothing_in_a_snapshot_can_be_changed(folder):
    snapshot = read(folder)
    with pytest.raises(TypeError):
        snapshot.providers["z"] = None
    with pytest.raises(TypeError):
        snapshot.providers["a"].rate_limit["chat"] = None


def test_policies_can_live_anywhere(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "default.yaml").write_text("version: 1\nattempts: 2\n")
    assert read(folder, elsewhere).policies["default"].attempts == 2


def test_hidden_files_and_other_suffixes_are_no_policies(folder):
    policy(folder, ".swap.yaml", "nonsense: 1\n")
    policy(folder, "notes.txt", "nonsense: 1\n")
    assert list(read(folder).policies) == ["default"]


def test_a_policy_defined_by_two_files_is_a_problem(folder):
    policy(folder, "mine.yaml", "")
    policy(folder, "mine.yml", "")
    assert "mine.yaml defines the policy 'mine' already" in str(refused(folder))


def test_the_files_are_named_routes_first(folder):
    policy(folder, "mine.yaml", "")
    assert read(folder).files == (str(folder / "routes.yaml"), str(folder / "policies" / "mine.yaml"))


def test_the_generation_names_the_text_and_not_the_values(folder):
    generation = read(folder, B_KEY="one").generation
    assert generation == read(folder, B_KEY="two", A_RETRIES="2").generation
    assert len(generation) == 12
    assert set(generation) <= set("0123456789abcdef")


def test_the_generation_changes_with_any_file_and_with_its_name(folder):
    seen = {read(folder).generation}
    policy(folder, "mine.yaml", "")
    seen.add(read(folder).generation)
    policy(folder, "mine.yaml", "# only a comment\n")
    seen.add(read(folder).generation)
    (folder / "policies" / "mine.yaml").rename(folder / "policies" / "yours.yaml")
    seen.add(read(folder).generation)
    assert len(seen) == 4


def test_the_same_text_in_another_folder_is_the_same_generation(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "routes.yaml").write_text(ROUTES)
    assert read(other).generation == read(folder).generation


def test_a_missing_routes_file_says_what_to_do(tmp_path):
    error = refused(tmp_path)
    assert error.unreadable
    assert "--routes FILE" in str(error)


@pytest.mark.parametrize("name", ["routes.yaml", "policies/mine.yaml"])
def test_a_folder_in_the_place_of_a_file_cannot_be_read(folder, name):
    (folder / "policies").mkdir()
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()
    error = refused(folder)
    assert error.unreadable
    assert "cannot be read" in str(error)


def test_a_policies_folder_that_was_named_must_exist(folder):
    error = refused(folder, folder / "nowhere")
    assert error.unreadable
    assert "no such folder" in str(error)


def test_a_file_in_the_place_of_the_policies_folder_cannot_be_read(folder):
    (folder / "policies").write_text("")
    assert refused(folder).unreadable


def test_a_name_that_is_no_file_name_cannot_be_read(folder):
    error = refused(folder / "a\0b")
    assert error.unreadable
    assert "not a file name" in str(error)


def test_a_large_file_is_refused_without_being_read_whole(folder):
    (folder / "routes.yaml").write_bytes(b"#" * (10 * 1024 * 1024))
    error = refused(folder)
    assert not error.unreadable
    assert "larger than 1 MiB" in str(error)


def test_a_missing_variable_is_named_and_nothing_else_is_said_of_its_key(folder):
    (folder / "routes.yaml").write_text(ROUTES.replace("${A_RETRIES:-1}", "${A_RETRIES}"))
    assert [problem.message for problem in refused(folder).problems] == [
        "the environment variable A_RETRIES is not set"
    ]


CANARY = "canary-7f3a"


@pytest.mark.parametrize("value", [CANARY, f"{CANARY} \r\n{CANARY}", f"https://{CANARY}@h/?{CANARY}", f"${{{CANARY}}}"])
def test_no_message_shows_a_value_from_the_environment(tmp_path, value):
    """The same hostile value in every place that takes one, so that every kind and rule gets to complain about it."""
    (tmp_path / "routes.yaml").write_text(
        """\
version: "${X}"
server: {listen: "${X}", admin: {listen: "${X}", token: "${X}"}, client_keys: ["${X}"], limits: {body: "${X}"}}
telemetry: {content: "${X}", traces: {endpoint: "${X}", exporter: "${X}", sample: "${X}", always_keep: ["${X}"]}}
providers:
  a:
    dialect: "${X}"
    base_url: "${X}"
    api_key: "${X}"
    enabled: "${X}"
    priority: "${X}"
    weight: "${X}"
    timeout: "${X}"
    breaker: "${X}"
    rate_limit: {chat: "${X}/min"}
    supports: ["${X}"]
    models: "${X}"
    headers: {X-Key: "${X}", Authorization: "${X}"}
    tls: {ca_file: "${X}"}
routes:
  - {name: "${X}", match: {path: "${X}", model: "${X}"}, providers: ["${X}"], policy: "${X}"}
"""
    )
    messages = str(refused(tmp_path, X=value)).replace(str(tmp_path), "")
    assert messages.count("\n") > 15
    assert "canary" not in messages


def test_no_rule_shows_a_value_from_the_environment(folder):
    """Values of the right shape, which only the rules refuse."""
    (folder / "routes.yaml").write_text(
        """\
version: 1
server: {listen: "${HOST}:80"}
providers:
  a:
    dialect: openai
    base_url: "http://${HOST}/v1"
    api_key: "${KEY}"
    tls: {ca_file: "/${KEY}"}
    headers: {Cookie: "${KEY}"}
routes:
  - {name: "${KEY}", match: {path: /v1/embeddings, model: "${KEY}"}, providers: [a, "${KEY}"], policy: "${KEY}"}
  - {name: "${KEY}", match: {path: /v1/embeddings, model: "${KEY}"}, providers: [a, a]}
"""
    )
    messages = str(refused(folder, HOST="canary.test", KEY="canary")).replace(str(folder), "")
    assert messages.count("\n") >= 10
    assert "canary" not in messages


def test_a_key_written_into_the_file_is_not_shown_either(folder):
    (folder / "routes.yaml").write_text(
        ROUTES.replace('"${B_KEY:-}"', '"sk-canary \u00e9"\n    headers: {X-Key: "canary\u00e9"}')
    )
    assert "canary" not in str(refused(folder)).replace(str(folder), "")


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 5),
        st.sampled_from(
            ["15s", "25MiB", "20/min", "50%", "a", "chat", "openai", "https://h/v1", "${A}", "127.0.0.1:1"]
        ),
        st.text(max_size=5),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)
KEYS = ("server", "telemetry", "providers", "routes", "version")
INNER = ("listen", "admin", "limits", "traces", "a", "match", "dialect", "base_url", "supports", "breaker", "models")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(KEYS), st.one_of(VALUES, st.dictionaries(st.sampled_from(INNER), VALUES, max_size=4))
    )
)
def test_no_document_raises_anything_but_a_config_error(tmp_path, document):
    """JSON is YAML, as long as nothing in it is refused; what is refused must be refused politely."""
    (tmp_path / "routes.yaml").write_text(json.dumps(document), "utf-8")
    assert all(problem.line >= 1 for problem in refused(tmp_path, A="x").problems)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(ROUTES)), st.integers(0, 12), st.text(max_size=4))
def test_no_damage_to_a_good_file_raises_anything_but_a_config_error(tmp_path, start, length, put):
    """A file written in pieces, or by a slip of the hand."""
    (tmp_path / "routes.yaml").write_bytes((ROUTES[:start] + put + ROUTES[start + length :]).encode("utf-8", "replace"))
    try:
        found = load(tmp_path / "routes.yaml", None, {}).providers
    except ConfigError as error:
        found = error.problems
    assert found
