"""deploy/compose.yaml agrees with the code, the image and the files beside it."""

import json
import re
from pathlib import Path

import pytest
import yaml

from proxy.config.load import load
from proxy.config.units import duration
from proxy.telemetry.tracing import enabled

ROOT = Path(__file__).resolve().parents[2]
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


@pytest.fixture(scope="module")
def sources():
    """Grafana's data sources, by their type."""
    provisioned = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())
    return {source["type"]: source for source in provisioned["datasources"]}


def published(service):
    return [tuple(port.rsplit(":", 2)) for port in service["ports"]]


def mounts(service):
    """Target -> the file or folder of this repository that is mounted there."""
    split = [mount.split(":") for mount in service.get("volumes", ())]
    assert {mode for _, _, mode in split} <= {"ro"}
    return {target: (DEPLOY / source).resolve() for source, target, _ in split}


def test_every_port_is_published_on_loopback_only(services):
    assert {host for service in services.values() for host, _, _ in published(service)} == {"127.0.0.1"}


def test_the_published_port_is_the_one_that_the_app_listener_has(services, snapshot):
    listen = snapshot.server.listen
    assert published(services["sidestep"]) == [("127.0.0.1", str(listen.port), str(listen.port))]
    assert listen.host == "0.0.0.0"
    assert snapshot.server.client_keys


def test_the_operators_listener_is_not_published_and_asks_for_a_token(services, snapshot):
    admin = snapshot.server.admin
    assert str(admin.listen.port) not in {port for _, _, port in published(services["sidestep"])}
    assert admin.token is None, "then one is made at start"


def test_prometheus_scrapes_the_operators_listener_under_a_name_that_it_has(services, snapshot):
    config = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())
    (job,) = config["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    admin = snapshot.server.admin
    assert target == f"sidestep:{admin.listen.port}"
    assert "sidestep" in services
    assert "sidestep" in admin.hosts
    assert admin.listen.host == "0.0.0.0"


def test_prometheus_finds_its_rules_beside_its_configuration(services):
    found = mounts(services["prometheus"])
    config = next(argument for argument in services["prometheus"]["command"] if "--config.file=" in argument)
    file = Path(config.partition("=")[2])
    assert found[str(file)] == DEPLOY / "prometheus.yaml"
    for rules in yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())["rule_files"]:
        assert found[str(file.parent / rules)] == DEPLOY / rules


def test_spans_go_to_the_port_that_jaeger_takes_them_on(services, snapshot):
    traces = snapshot.telemetry.traces
    assert (traces.endpoint, traces.protocol) == ("http://jaeger:4317", "grpc")
    assert enabled(traces)
    assert services["jaeger"]["image"].startswith("jaegertracing/jaeger:2.")
    assert published(services["jaeger"]) == [("127.0.0.1", "16686", "16686")]


def test_grafana_finds_prometheus_jaeger_and_the_dashboard(services, sources):
    for kind, source in sources.items():
        port = published(services[kind])[0][2]
        assert source["url"] == f"http://{kind}:{port}"
    found = mounts(services["grafana"])
    assert found["/etc/grafana/provisioning"] == DEPLOY / "grafana/provisioning"
    shown = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/sidestep.yaml").read_text())
    (folder,) = [provider["options"]["path"] for provider in shown["providers"]]
    assert found[folder] == DEPLOY / "grafana/dashboards"
    assert json.loads((found[folder] / "sidestep.json").read_text())["uid"] == "sidestep"


def test_every_variable_of_the_routes_is_handed_into_the_container(services):
    used = set(re.findall(r"\$\{(\w+)", ROUTES.read_text()))
    assert used <= set(services["sidestep"]["environment"])


def test_the_routes_are_mounted_where_the_image_looks_for_them(services):
    ((target, source),) = mounts(services["sidestep"]).items()
    assert source == ROUTES
    assert target in (ROOT / "Dockerfile").read_text()


def test_everything_that_is_mounted_exists(services):
    assert all(source.exists() for service in services.values() for source in mounts(service).values())


def test_the_drain_ends_before_docker_loses_its_patience(services, snapshot):
    drain = snapshot.server.drain
    assert drain.delay + drain.timeout < duration(services["sidestep"]["stop_grace_period"])


def test_nothing_runs_as_root_or_may_write_to_its_image(services):
    for service in services.values():
        assert service["user"] == "65532:65532"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


def test_every_image_that_is_not_ours_has_a_version(services):
    images = {name: service["image"] for name, service in services.items() if "image" in service}
    assert set(images) == set(services) - {"sidestep"}
    assert all(re.search(r":v?\d+\.\d+\.\d+$", image) for image in images.values())


def test_health_is_asked_of_sidestep_itself(services):
    assert services["sidestep"]["healthcheck"]["test"] == ["CMD", "sidestep", "health"]


def test_the_sidecar_that_the_page_draws_shares_its_network_and_outlasts_its_drain():
    page = (ROOT / "docs" / "deployment.md").read_text()
    drawn = yaml.safe_load(re.search(r"^```\n(services:\n.*?)^```$", page, re.MULTILINE | re.DOTALL)[1])["services"]
    app, sidestep = drawn["app"], drawn["sidestep"]
    shipped = load(ROOT / "routes.yaml", None, {}).server
    assert app["network_mode"] == "service:sidestep"
    assert "ports" not in app, "whoever owns the namespace publishes"
    assert app["depends_on"] == {"sidestep": {"condition": "service_healthy"}}
    assert app["environment"]["OPENAI_BASE_URL"] == f"http://127.0.0.1:{shipped.listen.port}/v1"
    assert shipped.drain.delay + shipped.drain.timeout < duration(sidestep["stop_grace_period"])
