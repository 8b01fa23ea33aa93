import re
from pathlib import Path

import pytest
import yaml

from proxy.config.load import load
from proxy.telemetry.tracing import enabled

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
ROUTES = DEPLOY / "compose-routes.yaml"


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


@pytest.fixture(scope="module")
def snapshot(services):
    environment = services["sidestep"]["environment"]
    filled = {name: "example" if value.startswith("${") else value for name, value in environment.items()}
    return load(ROUTES, ROOT / "policies", filled)


def published(service):
    return [tuple(port.rsplit(":", 2)) for port in service["ports"]]


def test_every_port_is_published_on_loopback_only(services):
    assert {host for service in services.values() for host, _, _ in published(service)} == {"127.0.0.1"}


def test_the_published_port_is_the_one_that_the_app_listener_has(services, snapshot):
    listen = snapshot.server.listen
    assert published(services["sidestep"]) == [("127.0.0.1", str(listen.port), str(listen.port))]
    assert listen.host == "0.0.0.0"
    assert snapshot.server.client_keys


def test_the_operators_listener_stays_inside(services, snapshot):
    admin = snapshot.server.admin.listen
    assert admin.host == "127.0.0.1"
    assert str(admin.port) not in {port for _, _, port in published(services["sidestep"])}


def test_spans_go_to_the_port_that_jaeger_takes_them_on(services, snapshot):
    traces = snapshot.telemetry.traces
    assert (traces.endpoint, traces.protocol) == ("http://jaeger:4317", "grpc")
    assert enabled(traces)
    assert services["jaeger"]["image"].startswith("jaegertracing/jaeger:2.")
    assert published(services["jaeger"]) == [("127.0.0.1", "16686", "16686")]


def test_every_variable_of_the_routes_is_handed_into_the_container(services):
    used = set(re.findall(r"\$\{(\w+)", ROUTES.read_text()))
    assert used <= set(services["sidestep"]["environment"])


def test_the_routes_are_mounted_where_the_image_looks_for_them(services):
    (mount,) = services["sidestep"]["volumes"]
    source, target, mode = mount.split(":")
    assert (DEPLOY / source).resolve() == ROUTES
    assert mode == "ro"
    assert target in (ROOT / "Dockerfile").read_text()


def test_nothing_runs_as_root_or_may_write_to_its_image(services):
    for service in services.values():
        assert service["user"] == "65532:65532"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


def test_health_is_asked_of_sidestep_itself(services):
    assert services["sidestep"]["healthcheck"]["test"] == ["CMD", "sidestep", "health"]
