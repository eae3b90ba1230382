"""A bundle for a cluster: its manifests match Kubernetes' own definitions, and start what they describe."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from catwalk.bundle import files
from catwalk.bundle.kubernetes.cluster import Cluster
from catwalk.bundle.options import Options
from catwalk.serving.holder import CLOSE_SECONDS
from catwalk.telemetry.catalogue import METRICS
from stack.settings import PROJECT, tool
from tests.catwalk.bundle import schemas
from tests.catwalk.bundle.cluster import PARTS, Made
from tests.catwalk.bundle.test_command import bundle

PLACES = {"exporter_url": "http://exporter", "grafana_url": "http://grafana"}
BLUE = Made(
    Options(
        **PLACES,
        courier_url="http://courier",
        labels={"team": "Blue_1"},
        jobs={"statsd_exporter": "ml/statsd"},
        folder="Blue models",
    ),
    Cluster(
        "s3://catwalk/blue",
        "registry.example.com/catwalk:1",
        name="blue",
        namespace="ml",
        labels={"release": "kps"},
        served=("churn", "解約"),
    ),
)
SERVING = ("serve-churn", "serve-51ed7057")
EVERY = (*PARTS, *SERVING)
"""All parts of the blue bundle."""
GREEN = Made(Options(**PLACES, runbooks_url="http://runbooks"), Cluster("s3://catwalk"))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schemas")
    schemas.write(folder)
    return folder


@pytest.mark.integration
@pytest.mark.parametrize("made", [BLUE, GREEN], ids=["with a courier", "without"])
def test_every_manifest_matches_the_definitions_of_kubernetes_and_the_operator(made: Made, known: Path) -> None:
    for path, text in made.files.items():
        if path.startswith("kubernetes/"):
            assert schemas.complaints(text, known) == [], path


@pytest.mark.integration
@pytest.mark.parametrize(
    ("file", "field", "changed", "complaint"),
    [
        ("exporter", "livenessProbe:", "livenessProb:", "'livenessProb' not allowed"),
        ("exporter", "podSelector:", "podSelectr:", "'podSelectr' not allowed"),
        ("serve-churn", "terminationGracePeriodSeconds:", "gracePeriodSeconds:", "'gracePeriodSeconds' not allowed"),
        ("courier", "claimName: blue-courier", "claim: blue-courier", "claimName"),
        ("statsd-exporter", "targetPort: http", "targetPort: [http]", "targetPort"),
        ("statsd-exporter", "apiVersion: apps/v1", "apiVersion: apps/v2", "could not find schema"),
        ("monitors", "interval: 10s", "interval: often", "interval"),
        ("monitors", "targetLabel:", "targetLable:", "'targetLable' not allowed"),
        ("rules", "  - name: catwalk", "  - nam: catwalk", "missing property 'name'"),
        ("dashboards", "  namespace: ml", "  namespace: ml\n  namespace: ml", "already set"),
    ],
)
def test_a_misspelt_field_is_refused(file: str, field: str, changed: str, complaint: str, known: Path) -> None:
    text = BLUE.files[f"kubernetes/{file}.yaml"]
    assert field in text
    said = schemas.complaints(text.replace(field, changed, 1), known)
    assert len(said) == 1 and complaint in said[0]


@pytest.mark.integration
def test_rules_are_those_of_the_plain_bundle_and_promtool_takes_them(tmp_path: Path) -> None:
    plain = files.contents(BLUE.options)
    theirs = [yaml.safe_load(text)["groups"] for path, text in plain.items() if path.startswith("prometheus/rules/")]
    found = [each["spec"] for each in BLUE.manifests if each["kind"] == "PrometheusRule"]
    assert [spec["groups"] for spec in found] == theirs != []
    for number, spec in enumerate(found):
        (tmp_path / f"{number}.yml").write_text(yaml.safe_dump(spec))
    command = [str(tool("promtool")), "check", "rules", "--lint=all", "--lint-fatal", *map(str, tmp_path.glob("*.yml"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_dashboards_are_those_of_the_plain_bundle_where_the_sidecar_finds_them() -> None:
    plain = files.contents(BLUE.options)
    held = [each for each in BLUE.manifests if "grafana_dashboard" in each["metadata"]["labels"]]
    boards = {name: json.loads(text) for each in held for name, text in each["data"].items()}
    assert boards == {Path(path).name: json.loads(text) for path, text in plain.items() if "/dashboards/" in path}
    for each in held:
        assert (each["kind"], len(each["data"])) == ("ConfigMap", 1)
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert each["metadata"]["annotations"] == {"grafana_folder": "Blue models"}


def test_names_are_dns_names_and_unique() -> None:
    every = BLUE.manifests + GREEN.manifests
    names = [(each["kind"], each["metadata"]["namespace"], each["metadata"]["name"]) for each in every]
    assert len(set(names)) == len(names)
    models = ("b" * 100, "Churn", "churn", "a.b", "a-b", "a b")
    longest = Made(BLUE.options, Cluster("s3://b", name="a" * 40, served=models))
    names = [each["metadata"]["name"] for each in longest.manifests if each["kind"] == "Service"]
    assert len(set(names)) == len(PARTS) + len(models)
    for each in (*every, *longest.manifests):
        name, limit = each["metadata"]["name"], 63 if each["kind"] == "Service" else 253
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name) and len(name) <= limit, name


def test_nothing_is_larger_than_a_cluster_keeps() -> None:
    for each in BLUE.manifests:
        size = len(json.dumps(each).encode())
        assert size < 900_000, each["metadata"]["name"]


def test_two_in_one_namespace_share_no_pod_and_no_job() -> None:
    other = Made(BLUE.options, Cluster("s3://catwalk/other", name="other", namespace="ml", served=BLUE.cluster.served))
    ours, theirs = (
        {part: each["spec"] for part, each in which.of_kind("Deployment").items()} for which in (BLUE, other)
    )
    for part in EVERY:
        for which in (BLUE, other):
            chosen = which.of_kind("Service")[part]["spec"]["selector"]
            pods = {
                one: spec["template"]["metadata"]["labels"]
                for one, spec in (("ours", ours[part]), ("theirs", theirs[part]))
            }
            fitting = {one for one, labels in pods.items() if chosen.items() <= labels.items()}
            assert fitting == ({"ours"} if which is BLUE else {"theirs"})
            assert which.of_kind("NetworkPolicy")[part]["spec"]["podSelector"]["matchLabels"] == chosen
            service = which.of_kind("Service")[part]["metadata"]["labels"]
            assert which.of_kind("ServiceMonitor")[part]["spec"]["selector"]["matchLabels"].items() <= service.items()


def test_each_pod_may_do_nothing_that_it_need_not() -> None:
    for part in EVERY:
        assert BLUE.pod(part)["securityContext"]["runAsNonRoot"] is True
        assert BLUE.pod(part)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert BLUE.pod(part)["automountServiceAccountToken"] is False
        # Otherwise, a Service called catwalk-x would set a variable CATWALK_X_PORT.
        assert BLUE.pod(part)["enableServiceLinks"] is False
        assert BLUE.container(part)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert BLUE.container(part)["resources"]["limits"]["memory"]
        assert {"livenessProbe", "readinessProbe", "startupProbe"} <= BLUE.container(part).keys()


def test_network_policies_allow_only_the_connections_in_use() -> None:
    def reached(part: str) -> dict[tuple[int, str], list[str]]:
        spec = BLUE.of_kind("NetworkPolicy")[part]["spec"]
        return {
            (port["port"], port["protocol"]): [
                each["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
                if "namespaceSelector" in each
                else "own"
                for each in rule["from"]
            ]
            for rule in spec["ingress"]
            for port in rule["ports"]
        }

    assert reached("exporter") == {(9180, "TCP"): ["monitoring"]}
    assert reached("courier") == {(9181, "TCP"): ["monitoring"]}
    sending = ["airflow", "own"]
    assert reached("statsd-exporter") == {
        (9102, "TCP"): ["monitoring"],
        (9125, "UDP"): sending,
        (9125, "TCP"): sending,
    }
    assert BLUE.of_kind("NetworkPolicy")["statsd-exporter"]["spec"]["egress"] == []
    for part in SERVING:
        assert reached(part) == {(9182, "TCP"): ["own"], (9183, "TCP"): ["monitoring"]}


def test_secrets_are_named_and_not_contained() -> None:
    text = "".join(BLUE.files.values())
    assert not [each for each in BLUE.manifests if each["kind"] == "Secret"]
    for part in ("exporter", "courier", *SERVING):
        secret = f"blue-{part}"
        assert {"secretRef": {"name": secret, "optional": True}} in BLUE.container(part)["envFrom"]
        assert not [one for one in BLUE.container(part)["env"] if re.search("PASSWORD|KEY|TOKEN", one["name"])]
    assert "secretKeyRef" not in text


def test_images_users_memory_and_arguments_are_those_of_compose() -> None:
    services = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
    default = GREEN.of_kind("Deployment")["exporter"]["spec"]["template"]["spec"]["containers"][0]
    built = services["configure"]["image"] if "image" in services["configure"] else services["exporter"]["image"]
    assert default["image"] == re.sub(r"\$\{CATWALK_VERSION:-(.*)\}", r"\1", built)
    assert BLUE.container("exporter")["image"] == BLUE.container("courier")["image"] == "registry.example.com/catwalk:1"
    assert BLUE.container("statsd-exporter")["image"] == services["statsd-exporter"]["image"]
    sizes = {"1Gi": "1g", "768Mi": "768m", "256Mi": "256m"}
    for part in PARTS:
        user = BLUE.pod(part)["securityContext"]["runAsUser"]
        assert services[part]["user"] == f"{user}:{user}"
        assert sizes[BLUE.container(part)["resources"]["limits"]["memory"]] == services[part]["mem_limit"]
        started = BLUE.container(part).get("command") or BLUE.container(part)["args"]
        assert [re.sub("/etc/catwalk/.*", "", each) for each in sorted(started)] == [
            re.sub("/etc/catwalk/.*", "", each) for each in sorted(services[part]["command"])
        ]


def test_a_served_model_is_what_compose_serves() -> None:
    service = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]["serve"]
    container, pod = BLUE.container("serve-churn"), BLUE.pod("serve-churn")
    named = [re.sub(r"\$\{CATWALK_SERVE_MODEL:-mlp\}", "churn", word) for word in service["command"]]
    assert set(named) < set(container["command"])
    assert (container["resources"]["limits"]["memory"], service["mem_limit"]) == ("2Gi", "${CATWALK_SERVE_MEMORY:-2g}")
    assert service["stop_grace_period"] == f"{pod['terminationGracePeriodSeconds']}s"
    assert BLUE.container("serve-51ed7057")["command"][2] == "解約"


def test_a_served_model_drains_within_the_grace_period_of_its_pod() -> None:
    flags = dict(word.split("=") for word in BLUE.container("serve-churn")["command"] if "=" in word)
    drain, notice = float(flags["--drain-seconds"]), float(flags["--notice-seconds"])
    assert notice < drain and drain + CLOSE_SECONDS < BLUE.pod("serve-churn")["terminationGracePeriodSeconds"]


def test_a_served_model_is_ready_only_once_it_answers_and_may_run_beside_its_replacement() -> None:
    container, spec = BLUE.container("serve-churn"), BLUE.of_kind("Deployment")["serve-churn"]["spec"]
    asked = [container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert asked == ["/healthz", "/readyz", "/healthz"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert "replicas" not in spec, "another apply would undo `kubectl scale`"
    for part in PARTS:
        assert BLUE.of_kind("Deployment")[part]["spec"]["strategy"] == {"type": "Recreate"}


def test_without_a_model_to_serve_there_is_no_server_of_one() -> None:
    assert not [path for path in GREEN.files if "serve-" in path]
    assert "CATWALK_SERVE_TOKEN" not in GREEN.files["README.md"]


@pytest.mark.parametrize("format_", ["files", "kubernetes"])
def test_the_page_names_the_receivers_that_are_empty(format_: str) -> None:
    told = files.contents(BLUE.options) if format_ == "files" else BLUE.files
    assert "give `catwalk` and each `catwalk/OWNER` your integrations" in told["README.md"]


def test_labels_that_the_operator_adds_are_not_ours() -> None:
    added = {"namespace", "pod", "service", "container", "endpoint", "node", "job", "instance"}
    assert not [metric.name for metric in METRICS if added & set(metric.labels)]
    mapped = yaml.safe_load(BLUE.files["kubernetes/statsd-exporter.yaml"].split("---\n")[1])["data"]["mapping.yaml"]
    assert not [each for each in yaml.safe_load(mapped)["mappings"] if added & set(each.get("labels", ()))]


def test_jobs_have_the_names_and_labels_that_rules_ask_for() -> None:
    for part, job in (
        ("exporter", "exporter"),
        ("statsd-exporter", "ml/statsd"),
        ("courier", "courier"),
        *((part, "services") for part in SERVING),
    ):
        [endpoint] = BLUE.of_kind("ServiceMonitor")[part]["spec"]["endpoints"]
        set_ = {each["targetLabel"]: each["replacement"] for each in endpoint["relabelings"]}
        assert set_ == {"job": job, "team": "Blue_1"}
        assert endpoint["port"] in [port["name"] for port in BLUE.of_kind("Service")[part]["spec"]["ports"]]
        assert endpoint["port"] == ("metrics" if part in SERVING else "http")


def test_airflow_sends_where_our_service_is() -> None:
    values = yaml.safe_load(BLUE.files["airflow/values.yaml"])
    service = BLUE.of_kind("Service")["statsd-exporter"]
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    metrics = values["config"]["metrics"]
    assert metrics["statsd_host"] == host and values["statsd"] == {"enabled": False}
    assert int(metrics["statsd_port"]) in [
        port["port"] for port in service["spec"]["ports"] if port["protocol"] == "UDP"
    ]
    given = dict(
        line.split("=")
        for line in files.contents(BLUE.options)["airflow/metrics.env"].splitlines()
        if "=" in line and line[0] != "#"
    )
    assert {f"AIRFLOW__METRICS__{name.upper()}": value for name, value in metrics.items()} == {
        **given,
        "AIRFLOW__METRICS__STATSD_HOST": host,
    }
    assert {one["name"]: one["value"] for one in values["env"]} == {
        "CATWALK_STORE": "s3://catwalk/blue",
        "CATWALK_STATSD": f"{host}:9125",
    }


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([], "--format kubernetes needs --store s3://bucket[/prefix]"),
        (["--store", "file:///srv"], "--store takes s3://bucket[/prefix], not 'file:///srv'"),
        (["--store", "s3://b/../c"], "--store has an empty, '.' or '..' segment in its prefix"),
        (
            ["--store", "s3://b", "--name", "Catwalk"],
            "--name takes up to 40 of a-z, 0-9 and -, and begins with a letter",
        ),
        (["--store", "s3://b", "--name", "a" * 41], "--name takes up to 40 of a-z"),
        (["--store", "s3://b", "--namespace", "a.b"], "--namespace is not the name of a namespace: 'a.b'"),
        (["--store", "s3://b", "--airflow-namespace", "A"], "--airflow-namespace is not the name of a namespace: 'A'"),
        (["--store", "s3://b", "--image", "a b"], "--image takes the name of an image"),
        (["--store", "s3://b", "--label", "release"], "--label: expected name=value; got 'release'"),
        (["--store", "s3://b", "--label", "release=läuft"], "--label release=läuft is not a Kubernetes label"),
        (["--store", "s3://b", "--label", "app.kubernetes.io/instance=x"], "is set by Catwalk itself"),
        (["--store", "s3://b", "--serve", ""], "--serve: model: expected a name of letters and digits"),
        (["--store", "s3://b", "--serve", "m", "--serve", "m"], "--serve names the model m twice"),
        (["--format", "files", "--serve", "m"], "--serve needs --format kubernetes"),
        (["--format", "files", "--namespace", "x"], "--namespace needs --format kubernetes"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    options: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--exporter-url", "http://e", "--grafana-url", "http://g", "--runbooks-url", "http://r"]
    assert bundle(tmp_path / "out", *places, "--format", "kubernetes", *options) == 1
    said = capsys.readouterr().err
    assert line in said and said.startswith("catwalk: ") and said.count("\n") == 1
    assert not (tmp_path / "out").exists()
