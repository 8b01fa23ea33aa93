"""deploy/kubernetes.yaml: valid to Kubernetes' own schemas, a native sidecar, locked down, and its files load."""

import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from lab.configuration import refusing, routes
from lab.sidecar import eventually, finished, process

from proxy.config.load import load

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text()))
CONFIG, DEPLOYMENT = DOCUMENTS
POD = DEPLOYMENT["spec"]["template"]["spec"]
(SIDECAR,) = POD["initContainers"]
(APP,) = POD["containers"]
VOLUMES = {volume["name"]: volume for volume in POD["volumes"]}
MOUNTS = {mount["mountPath"]: mount for mount in SIDECAR["volumeMounts"]}
ENVIRONMENT = {entry["name"]: entry for entry in SIDECAR["env"]}
OLDEST = "1.29"
"""The first version in which sidecars are on by default."""


@pytest.fixture
def snapshot(tmp_path):
    return load(mounted(tmp_path) / "routes.yaml", None, {})


def mounted(folder):
    """Lay the ConfigMap out as the kubelet does: behind a link that it swaps when the ConfigMap changes."""
    write_version(folder, "..first")
    (folder / "..data").symlink_to("..first")
    for item in VOLUMES["sidestep-config"]["configMap"]["items"]:
        top = item["path"].split("/")[0]
        (folder / top).symlink_to(f"..data/{top}")
    return folder


def write_version(folder, name, change=lambda text: text):
    """Write every file as the volume's items place it, in the folder that the link will lead to."""
    for item in VOLUMES["sidestep-config"]["configMap"]["items"]:
        file = folder / name / item["path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(change(CONFIG["data"][item["key"]]))


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version().rpartition(".")[0]])
@pytest.mark.parametrize("document", DOCUMENTS, ids=["ConfigMap", "Deployment"])
def test_kubernetes_knows_every_field(document, version):
    kubernetes_validate.validate(document, version, strict=True)


def test_it_is_a_native_sidecar_which_the_app_waits_for():
    assert SIDECAR["restartPolicy"] == "Always"
    assert SIDECAR["startupProbe"]["httpGet"]["path"] == "/readyz"
    assert SIDECAR["livenessProbe"]["httpGet"]["path"] == "/livez"


def test_the_probes_and_prometheus_reach_the_operators_listener(snapshot):
    (port,) = SIDECAR["ports"]
    admin = snapshot.server.admin.listen
    assert admin.host == "0.0.0.0", "a kubelet asks at the pod's address, never at its loopback"
    assert port["containerPort"] == admin.port
    assert {SIDECAR[probe]["httpGet"]["port"] for probe in ("startupProbe", "livenessProbe")} == {port["name"]}
    annotations = DEPLOYMENT["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(admin.port)


def test_the_app_asks_the_listener_of_its_own_pod(snapshot):
    listen = snapshot.server.listen
    assert listen.host == "127.0.0.1"
    (url,) = [entry["value"] for entry in APP["env"] if entry["name"] == "OPENAI_BASE_URL"]
    assert url == f"http://127.0.0.1:{listen.port}/v1"


def test_the_pod_waits_longer_than_a_drain_can_take(snapshot):
    drain = snapshot.server.drain
    assert drain.delay + drain.timeout < POD["terminationGracePeriodSeconds"]


def test_it_may_do_nothing_that_it_need_not():
    context = SIDECAR["securityContext"]
    assert context["runAsNonRoot"] is True
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in (ROOT / "Dockerfile").read_text()
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["automountServiceAccountToken"] is False


def test_the_configuration_is_a_directory_that_follows_changes():
    mount = MOUNTS["/etc/sidestep"]
    assert "subPath" not in mount
    assert mount["readOnly"] is True
    assert VOLUMES[mount["name"]]["configMap"]["name"] == CONFIG["metadata"]["name"]
    routes_file = SIDECAR["args"][SIDECAR["args"].index("--routes") + 1]
    assert routes_file == "/etc/sidestep/routes.yaml"
    assert {item["key"] for item in VOLUMES[mount["name"]]["configMap"]["items"]} == set(CONFIG["data"])


def test_the_token_lies_in_a_folder_of_its_own_within_the_one_that_can_be_written():
    """The mount itself belongs to root and lets everybody write, and in such a folder sidestep keeps no token."""
    state = ENVIRONMENT["XDG_RUNTIME_DIR"]["value"]
    assert "emptyDir" in VOLUMES[MOUNTS[state]["name"]]
    writable = [mount["mountPath"] for mount in MOUNTS.values() if not mount.get("readOnly")]
    assert writable == [state]


def test_keys_come_from_a_secret_and_every_variable_is_handed_in():
    used = set(re.findall(r"\$\{(\w+)", CONFIG["data"]["routes.yaml"])) - {"OTEL_EXPORTER_OTLP_ENDPOINT"}
    assert used <= set(ENVIRONMENT)
    assert all("secretKeyRef" in entry["valueFrom"] for name, entry in ENVIRONMENT.items() if name.endswith("_KEY"))
    assert not re.search(r"sk-\w{8}", str(DOCUMENTS))


async def test_a_changed_config_map_is_taken_over_by_the_program_that_runs(tmp_path):
    """Every provider is moved to a port of this machine at which nobody listens."""

    def local(text):
        return re.sub(r"https://[\w.]+", "http://127.0.0.1:9", text)

    folder = mounted(tmp_path)
    write_version(folder, "..first", local)
    arguments = ["--routes", str(folder / "routes.yaml"), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    async with process(routes({"p1": refusing()}), *arguments) as program:
        write_version(folder, "..second", lambda text: local(text).replace("attempts: 4", "attempts: 3"))
        (folder / "..swap").symlink_to("..second")
        (folder / "..swap").replace(folder / "..data")

        async def taken_over():
            return await program.metric("sidestep_config_reloads_total", result="ok") == 1

        await eventually(taken_over, within=20)


async def test_its_files_are_good_to_the_program_itself(tmp_path):
    status, stdout, stderr = await finished(mounted(tmp_path), "check")
    assert status == 0, stdout + stderr
