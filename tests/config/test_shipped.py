"""The files that come with sidestep: good as they are, and with the documented defaults."""

import json
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import get_args, get_origin, get_type_hints

import pytest
import yaml
from jsonschema import Draft202012Validator

from proxy.config import reference
from proxy.config.kinds import KINDS
from proxy.config.load import load
from proxy.config.rules.policies import _NAME as POLICY_NAME
from proxy.config.shape import SCHEMAS, expand, kind_of, schema
from proxy.config.snapshot import (
    BreakerSettings,
    Drain,
    HealthSettings,
    Limits,
    Policy,
    Provider,
    Rate,
    Route,
    Server,
    StrategyName,
    Telemetry,
)
from proxy.errors import ErrorClass
from proxy.messages import CAPABILITIES, ENDPOINTS

ROOT = Path(__file__).resolve().parents[2]
ROUTES = ROOT / "routes.yaml"
POLICIES = sorted((ROOT / "policies").glob("*.yaml"))


@pytest.fixture(scope="module")
def shipped():
    return load(ROUTES, None, {})


def test_the_shipped_files_serve_with_an_empty_environment(shipped):
    assert [provider.configured for provider in shipped.providers.values()] == [True, False]


def test_pollinations_keeps_the_documented_defaults(shipped):
    found = shipped.providers["pollinations"]
    assert (found.priority, found.weight, found.timeout, found.retries) == (1, 2, 15, 2)
    assert dict(found.breaker) == {"failures": 3}
    assert dict(found.rate_limit) == {"chat": Rate(20, 60), "images": Rate(20, 60)}
    assert found.supports == {"chat", "images", "tools"}
    assert found.text_url == "https://text.pollinations.ai/openai"
    assert found.image_url == "https://image.pollinations.ai/prompt/"
    assert found.upstream_model("gpt-4o", "chat") == "openai"
    assert found.upstream_model("dall-e-3", "images") == "flux"


def test_openrouter_keeps_the_documented_defaults(shipped):
    found = shipped.providers["openrouter"]
    assert (found.priority, found.weight, found.timeout, found.retries, found.enabled) == (2, 1, 30, 1, True)
    assert dict(found.breaker) == {"failures": 3}
    assert found.supports == {"chat", "tools"}
    assert found.base_url == "https://openrouter.ai/api/v1"
    assert found.upstream_model("gpt-4o", "chat") == "nvidia/nemotron-nano-9b-v2:free"
    assert set(found.headers) == {"HTTP-Referer", "X-Title"}


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        ("POLLINATIONS_API_TOKEN", "t", lambda s: s.providers["pollinations"].api_key.reveal()),
        ("POLLINATIONS_TEXT_API", "https://t.test/o", lambda s: s.providers["pollinations"].text_url),
        ("POLLINATIONS_IMAGE_API", "https://i.test/p/", lambda s: s.providers["pollinations"].image_url),
        ("OPENROUTER_API_KEY", "k", lambda s: s.providers["openrouter"].api_key.reveal()),
        ("OPENROUTER_ENABLED", "false", lambda s: str(s.providers["openrouter"].enabled).lower()),
        ("OPENROUTER_DEFAULT_MODEL", "m", lambda s: s.providers["openrouter"].models["default"]),
        ("TEXT_API_RATE_LIMIT", "7", lambda s: str(s.providers["pollinations"].rate_limit["chat"].count)),
        ("IMAGE_API_RATE_LIMIT", "8", lambda s: str(s.providers["pollinations"].rate_limit["images"].count)),
        ("SIDESTEP_ADMIN_TOKEN", "a", lambda s: s.server.admin.token.reveal()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317", lambda s: s.telemetry.traces.endpoint),
    ],
)
def test_the_documented_variables_tune_the_shipped_files(variable, value, read):
    assert read(load(ROUTES, None, {variable: value})) == value


def test_the_shipped_listeners_limits_and_telemetry_are_the_defaults(shipped):
    assert shipped.server == Server(limits=Limits(), drain=Drain())
    assert shipped.telemetry == Telemetry()


def test_the_shipped_default_policy_writes_out_the_built_in_one(shipped):
    assert shipped.policies["default"] == Policy(name="default")


def test_there_is_a_shipped_policy_for_every_strategy(shipped):
    assert {policy.strategy for policy in shipped.policies.values()} == set(StrategyName)
    assert {name for name in shipped.policies if name not in {"default", "images"}} == {
        name.value for name in StrategyName if name is not StrategyName.PRIMARY_ONLY
    }


def test_images_get_more_time_and_fewer_attempts(shipped):
    images = shipped.policies["images"]
    assert images.timeouts.first_output == 120
    assert images.attempts < shipped.policies["default"].attempts


@pytest.mark.parametrize("file", [ROUTES, *POLICIES], ids=lambda file: file.name)
def test_an_editor_finds_no_fault_with_a_shipped_file(file):
    """The published schema, applied to the file as it is written, references and units included."""
    first, content = file.read_text().split("\n", 1)
    name = "routes" if file == ROUTES else "policy"
    assert first.startswith("# yaml-language-server: $schema=")
    assert (file.parent / first.partition("=")[2]).resolve() == ROOT / "proxy" / "config" / "schema" / f"{name}.json"
    Draft202012Validator(schema(name)).validate(yaml.safe_load(content))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_a_good_schema(name):
    Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_has_a_description_and_an_example_that_the_schema_takes(name):
    definitions = schema(name)["$defs"]

    def walk(part, path):
        part = expand(part, definitions)
        for key, child in part.get("properties", {}).items():
            here = f"{path}.{key}"
            assert child.get("description", "").endswith("."), here
            assert child.get("examples"), here
            checked = {**child, "$defs": definitions}
            for value in (*child["examples"], *([child["default"]] if "default" in child else [])):
                Draft202012Validator(checked).validate(value)
            walk(child, here)
        for inner in (part.get("additionalProperties"), part.get("items")):
            if inner:
                walk(inner, f"{path}[]")
        if part.get("type") == "object":
            assert "additionalProperties" in part, path

    walk(schema(name), name)


def test_both_schemas_write_the_kinds_alike():
    for kind in KINDS:
        written = [schema(name)["$defs"][kind] for name in SCHEMAS if kind in schema(name)["$defs"]]
        assert written
        assert all(definition == written[0] for definition in written)


def dataclass_of(hint):
    """The settings class that a field holds, alone, in a tuple or beside None."""
    if get_origin(hint) in {UnionType, tuple}:
        return dataclass_of(get_args(hint)[0])
    return hint if is_dataclass(hint) else None


def pairs(settings, part, definitions, path):
    """Every (path, field, schema of the key) of a settings class and of those inside it."""
    part = expand(part, definitions)
    hints = get_type_hints(settings)
    known = {field.name: field for field in fields(settings)}
    written = set(part["properties"]) - {"version"}
    assert written == set(known) - {"name"} | (written & {"name"}), path
    for key in sorted(written):
        child = expand(part["properties"][key], definitions)
        yield f"{path}.{key}", known[key], child
        inner = dataclass_of(hints[key])
        target = child if "properties" in child else child.get("items", {})
        if inner and "properties" in target:
            yield from pairs(inner, target, definitions, f"{path}.{key}")


def every_pair():
    routes, policy = schema("routes"), schema("policy")
    for key, settings in (("server", Server), ("telemetry", Telemetry)):
        yield from pairs(settings, routes["properties"][key], routes["$defs"], key)
    yield from pairs(Provider, routes["$defs"]["provider"], routes["$defs"], "provider")
    yield from pairs(Route, routes["$defs"]["route"], routes["$defs"], "route")
    yield from pairs(Policy, policy, policy["$defs"], "policy")


def default_of(field):
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else MISSING


def read_default(part):
    if kind := kind_of(part):
        return KINDS[kind](part["default"])
    return part["default"]


@pytest.mark.parametrize(("path", "field", "part"), [pytest.param(*pair, id=pair[0]) for pair in every_pair()])
def test_every_default_in_the_schemas_is_the_one_that_is_used(path, field, part):
    default = default_of(field)
    if "default" not in part:
        assert default in (MISSING, None, "") or "properties" in part or path in DECIDED_ELSEWHERE
    elif isinstance(default, frozenset | tuple):
        assert set(read_default(part)) == set(default)
    elif path not in DECIDED_ELSEWHERE:
        assert read_default(part) == default


DECIDED_ELSEWHERE = {
    "provider.auth": "by dialect and URL",
    "route.policy": "in build, as it is not the field's own",
    **{f"provider.health.{field.name}": "by the policies of its routes" for field in fields(HealthSettings)},
}


def test_a_provider_s_health_takes_the_keys_of_a_policy_s():
    health = schema("routes")["$defs"]["provider"]["properties"]["health"]["properties"]
    of_policy = schema("policy")["properties"]["health"]["properties"]
    for key, part in of_policy.items():
        assert health[key] == {name: value for name, value in part.items() if name != "default"}


def test_the_route_s_policy_is_called_as_the_schema_says():
    assert schema("routes")["$defs"]["route"]["properties"]["policy"]["default"] == "default"


def test_the_schema_knows_every_endpoint_capability_strategy_and_class():
    routes, policy = schema("routes")["$defs"], schema("policy")["properties"]
    provider = routes["provider"]["properties"]
    assert set(routes["route"]["properties"]["match"]["properties"]["path"]["enum"]) == set(ENDPOINTS)
    assert set(provider["supports"]["items"]["enum"]) == {*CAPABILITIES.values(), "tools"}
    assert set(provider["rate_limit"]["properties"]) == set(CAPABILITIES.values())
    assert set(policy["strategy"]["enum"]) == set(StrategyName)
    assert set(policy["errors"]["properties"]) == {*ErrorClass} - {ErrorClass.CANCELLED}


def test_a_provider_s_breaker_takes_the_keys_of_a_policy_s():
    breaker = schema("routes")["$defs"]["provider"]["properties"]["breaker"]["properties"]
    assert set(breaker) == {field.name for field in fields(BreakerSettings)}
    assert not any("default" in part for part in breaker.values())


def test_policies_are_named_by_the_same_rule_as_providers():
    assert schema("routes")["properties"]["providers"]["propertyNames"]["pattern"] == f"^{POLICY_NAME.pattern}$"


def test_the_reference_is_up_to_date():
    """Write it anew with `python -m proxy.config.reference > docs/configuration.md`."""
    assert (ROOT / "docs" / "configuration.md").read_text() == reference.write()


def test_the_reference_shows_every_key():
    page = reference.write()
    for path, _, _ in every_pair():
        assert f"| `{path.rpartition('.')[2]}` |" in page


def test_the_example_in_the_reference_is_good(tmp_path):
    example = reference.write().partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "routes.yaml").write_text(example)
    assert list(load(tmp_path / "routes.yaml", None, {}).providers) == ["pollinations"]


def test_the_schemas_are_plain_ascii_json():
    for name in SCHEMAS:
        text = (ROOT / "proxy" / "config" / "schema" / f"{name}.json").read_text("ascii")
        assert json.loads(text) == schema(name)
