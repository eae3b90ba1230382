"""docker-compose.yaml: what holds of every service, which parts can be left out, and that it can't drift apart from the
native stack."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from catwalk.environment import env_file
from catwalk.environment.addresses import PORTS
from stack.bootstrap import MODULES, tool_version
from stack.compose import EXAMPLE, write_environment
from stack.configuration import credentials, grafana
from stack.parts.order import parts
from stack.settings import PROJECT, Settings
from tests.stack.compose_project import FILE, ONCE, PROFILES, VARIABLES, RefusedError, in_repository, load

PAGES = {
    "airflow-api-server": ("airflow", 8080),
    "prometheus": ("prometheus", 9090),
    "alertmanager": ("alertmanager", 9093),
    "grafana": ("grafana", 3000),
    "exporter": ("exporter", 9180),
    "courier": ("courier", 9181),
}
"""Services that show pages to people → name in CATWALK_PORT_*, and the port."""
PUBLISHED = PAGES | {"statsd-exporter": ("statsd_exporter", 9102), "serve": ("serve", 9182)}
METRICS = {"serve": [("127.0.0.1", 9183, PORTS["serve_metrics"])]}
"""Published beside the others: these ports and statsd_exporter's are for your own Prometheus, which scrapes exporter
and courier by the ports of their pages.
"""
WRITTEN_BY = {"airflow-auth": 50000, "airflow-logs": 50000, "courier": 50000, "datasets": 50000, "s3": 50000}
WRITTEN_BY |= {"serve": 50000, "synthetic": 50000}
WRITTEN_BY |= {"prometheus-access": 65534, "alertmanager-config": 65534}
"""Volumes that get their owner from our image → user who writes there."""
SERVICES = list(yaml.safe_load(FILE.read_text())["services"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compose")


@pytest.fixture(scope="module")
def project(folder: Path) -> dict[str, Any]:
    return load(folder)


@pytest.fixture(params=SERVICES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def service(project: dict[str, Any], name: str) -> dict[str, Any]:
    return dict(project["services"][name])


def test_every_part_is_there(project: dict[str, Any]) -> None:
    airflow = {"airflow-init", "airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"}
    others = {"configure", "catwalk", "airflow-worker", "postgres", "redis", "versitygw", "statsd-exporter"}
    others |= {"prometheus", "alertmanager", "grafana", "exporter", "courier", "serve"}
    assert project["services"].keys() == airflow | others


@pytest.mark.parametrize("secret", credentials.generate())
def test_a_missing_secret_is_refused_with_what_to_do(tmp_path: Path, secret: str) -> None:
    for value in (None, ""):
        with pytest.raises(RefusedError, match=rf"required variable {secret} is missing a value: run make env"):
            load(tmp_path, **{secret: value})


def test_every_secret_is_required_wherever_it_is_used() -> None:
    text = FILE.read_text()
    for secret in credentials.generate():
        uses = re.findall(rf"\$\{{{secret}([^}}]*)\}}", text)
        assert uses, f"{secret} is used nowhere"
        assert set(uses) == {":?run make env"}


def test_no_secret_is_on_a_command_line(project: dict[str, Any], folder: Path) -> None:
    known = env_file.read(folder / ".env")
    secrets = [known[name] for name in credentials.generate()]
    for name, service in project["services"].items():
        told = repr(
            [service.get("command"), service.get("entrypoint"), service.get("healthcheck"), service.get("build")]
        )
        assert not [secret for secret in secrets if secret in told], name


def test_no_service_has_a_secret_that_it_does_not_need(project: dict[str, Any], folder: Path) -> None:
    known = env_file.read(folder / ".env")
    for secret, users in {
        "CATWALK_POSTGRES_PASSWORD": r"postgres|airflow-.*",
        "CATWALK_REDIS_PASSWORD": r"redis|airflow-.*",
        "AWS_SECRET_ACCESS_KEY": r"versitygw|exporter|serve|courier|catwalk|airflow-(init|worker)",
        "CATWALK_GRAFANA_PASSWORD": "grafana",
        "CATWALK_MONITORING_PASSWORD": "configure|courier|grafana|catwalk",
        "CATWALK_AIRFLOW_PASSWORD": "exporter|courier|catwalk|airflow-init",
    }.items():
        knowing = {n for n, service in project["services"].items() if known[secret] in repr(service.get("environment"))}
        assert knowing == {one for one in SERVICES if re.fullmatch(users, one)}, secret


def test_services_run_without_root_and_without_capabilities(service: dict[str, Any]) -> None:
    uid, _, gid = service["user"].partition(":")
    assert int(uid) > 0
    assert gid.isdigit()
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert not service.keys() & {"privileged", "pid", "ipc", "devices", "container_name", "network_mode"} - (
        {"network_mode"} if service.get("network_mode") == "none" else set()
    )


def test_memory_and_logs_are_bounded(service: dict[str, Any]) -> None:
    assert 128 * 2**20 <= int(service["mem_limit"]) <= 4 * 2**30
    assert service["logging"]["driver"] == "json-file"
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


def test_long_running_services_are_restarted_and_checked(name: str, service: dict[str, Any]) -> None:
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    assert ("healthcheck" in service) == (name not in ONCE)
    if name not in ONCE:
        assert service["healthcheck"].keys() >= {"test", "interval", "timeout", "retries", "start_period"}
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


def test_only_pages_and_metrics_are_published_and_on_loopback_only(name: str, service: dict[str, Any]) -> None:
    published = [(port["host_ip"], port["target"], int(port["published"])) for port in service.get("ports", ())]
    if name in PUBLISHED:
        part, port = PUBLISHED[name]
        assert published == [("127.0.0.1", port, PORTS[part]), *METRICS.get(name, [])]
        assert "front" in service["networks"], "a port of an internal service can't be published"
    else:
        assert published == []


def test_a_published_port_can_be_moved_and_its_links_follow(tmp_path: Path) -> None:
    moved = {f"CATWALK_PORT_{part.upper()}": str(20_000 + port) for part, port in PUBLISHED.values()}
    services = load(tmp_path, **moved)["services"]
    for name, (_, port) in PUBLISHED.items():
        assert services[name]["ports"][0]["published"] == str(20_000 + port)
    for part, port in PAGES.values():
        shown = services["exporter"]["environment"]
        url = shown.get(f"CATWALK_{part.upper()}_PUBLIC_URL") or shown[f"CATWALK_{part.upper()}_URL"]
        assert url == f"http://127.0.0.1:{20_000 + port}"
    assert "--web.external-url=http://127.0.0.1:29090" in services["prometheus"]["command"]
    assert "--web.external-url=http://127.0.0.1:29093" in services["alertmanager"]["command"]
    assert services["grafana"]["environment"]["GF_SERVER_ROOT_URL"] == "http://127.0.0.1:23000"
    assert services["airflow-worker"]["environment"]["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:28080"
    assert services["airflow-worker"]["environment"]["CATWALK_EXPORTER_URL"] == "http://127.0.0.1:29180"


def test_the_exporter_is_found_under_its_former_names(tmp_path: Path) -> None:
    def links(**settings: str) -> tuple[set[str], str]:
        services = load(tmp_path, **settings)["services"]
        public = services["catwalk"]["environment"]["CATWALK_EXPORTER_PUBLIC_URL"]
        others = ("airflow-worker", "prometheus", "exporter", "courier")
        found = {services[name]["environment"]["CATWALK_EXPORTER_URL"] for name in others}
        return found | {public}, services["exporter"]["ports"][0]["published"]

    assert links(CATWALK_PORT_REGISTRY="29180") == ({"http://127.0.0.1:29180"}, "29180")
    assert links(CATWALK_PORT_REGISTRY="29180", CATWALK_PORT_EXPORTER="39180") == ({"http://127.0.0.1:39180"}, "39180")
    old, new = "https://old.example", "https://new.example"
    assert links(CATWALK_REGISTRY_URL=old)[0] == {old}
    assert links(CATWALK_REGISTRY_URL=old, CATWALK_EXPORTER_URL=new)[0] == {new}
    told = load(tmp_path, CATWALK_REGISTRY_URL=old)["services"]["exporter"]["environment"]
    assert told["CATWALK_REGISTRY_URL"] == old, "so that the exporter says what to rename"


def test_each_service_is_on_the_networks_that_it_needs(project: dict[str, Any]) -> None:
    internal = {name for name, network in project["networks"].items() if network.get("internal")}
    assert (internal, project["networks"].keys()) == ({"back", "databases"}, {"front", "back", "databases"})
    on: dict[str, set[str]] = {
        network: {name for name, service in project["services"].items() if network in service.get("networks", ())}
        for network in project["networks"]
    }
    airflow = {name for name in project["services"] if name.startswith("airflow-")}
    assert on["databases"] == {"postgres", "redis"} | airflow, on["databases"]
    assert on["back"] == project["services"].keys() - {"configure", "postgres", "redis"}
    inside = {"versitygw", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"}
    assert on["front"] == on["back"] - inside


def test_versions_are_the_native_ones(project: dict[str, Any]) -> None:
    pins = {module.name: tool_version((module / "go.mod").read_text()) for module in MODULES.iterdir()}
    image = {name: service["image"] for name, service in project["services"].items()}
    assert image["versitygw"] == f"versity/versitygw:{pins['versitygw']}"
    assert image["statsd-exporter"] == f"prom/statsd-exporter:{pins['statsd_exporter']}"
    assert image["alertmanager"] == f"prom/alertmanager:{pins['alertmanager']}"
    # Prometheus 3.15.0 is the module v0.315.0.
    major, minor = re.fullmatch(r"v0\.(\d)(\d\d)\.0", pins["prometheus"]).groups()  # type: ignore[union-attr]
    assert image["prometheus"] == f"prom/prometheus:v{major}.{int(minor)}.0"
    transformations = (PROJECT / "tests" / "grafana" / "transformations" / "package.json").read_text()
    assert f'"@grafana/data": "{image["grafana"].partition(":")[2]}"' in transformations
    version = re.search(r'^version = "(.*)"$', (PROJECT / "pyproject.toml").read_text(), re.MULTILINE)
    ours = {one for name, one in image.items() if "build" in project["services"][name]}
    assert version is not None
    assert ours == {f"catwalk:{version[1]}"}


def test_the_image_is_built_once_and_never_pulled(project: dict[str, Any]) -> None:
    ours = {n: service for n, service in project["services"].items() if service["image"].startswith("catwalk:")}
    builders = [name for name, service in ours.items() if "build" in service]
    assert builders == ["configure"]
    assert {name for name, service in ours.items() if service.get("pull_policy") == "never"} == ours.keys() - {
        "configure"
    }
    assert len(ours) > 5


def test_workers_are_counted_in_the_file_that_every_later_up_reads(tmp_path: Path) -> None:
    services = load(tmp_path, CATWALK_WORKER_COUNT="3", CATWALK_PARALLELISM="6")["services"]
    assert services["airflow-worker"]["scale"] == 3
    assert services["airflow-scheduler"]["environment"]["AIRFLOW__CORE__PARALLELISM"] == "6"


def test_a_worker_is_stopped_before_the_servers_that_it_reports_to(project: dict[str, Any]) -> None:
    needs = project["services"]["airflow-worker"]["depends_on"]
    assert "airflow-api-server" in needs
    assert needs.keys() > project["services"]["airflow-scheduler"]["depends_on"].keys()


def test_airflow_has_the_time_to_stop(project: dict[str, Any]) -> None:
    """With ten seconds, the engine's default, SIGKILL ended the API server and the scheduler on a busy machine."""
    slow = {name: service for name, service in project["services"].items() if name.startswith("airflow-")}
    assert {service.get("stop_grace_period") for service in slow.values()} == {"1m0s"}


def test_a_statsd_exporter_that_restarts_restarts_no_other(project: dict[str, Any]) -> None:
    """A worker that is restarted in the middle of a training has to resume from its last checkpoint."""
    for name, service in project["services"].items():
        assert not [other for other, how in service.get("depends_on", {}).items() if how.get("restart")], name


def test_images_are_exact(service: dict[str, Any]) -> None:
    assert re.search(r":v?\d+\.\d+(\.\d+)?$", service["image"]), service["image"]


def test_what_is_mounted_exists_and_is_read_only(folder: Path, service: dict[str, Any]) -> None:
    for mount in service.get("volumes", ()):
        if mount["type"] == "bind":
            assert mount["read_only"] is True
            source = in_repository(mount["source"], folder)
            assert source.exists() or source == PROJECT / ".catwalk" / "receivers", source


def test_every_volume_is_named_used_and_owned_by_its_writer(project: dict[str, Any]) -> None:
    mounts = [
        (mount["source"], mount["target"], service["user"], mount.get("read_only", False), service["image"])
        for service in project["services"].values()
        for mount in service.get("volumes", ())
        if mount["type"] == "volume"
    ]
    assert {source for source, *_ in mounts} == project["volumes"].keys()
    dockerfile = (PROJECT / "Dockerfile").read_text()
    for volume, owner in WRITTEN_BY.items():
        ours = {target for source, target, *_, image in mounts if source == volume and image.startswith("catwalk:")}
        made = re.findall(rf"install -d -o {owner} -g {owner}[^;&]*", dockerfile)
        assert any(target in text.split() for target in ours for text in made), (
            f"our image makes no folder for {volume}"
        )
    # A service that only reads it, or sets its owner (configure), sometimes runs as another user.
    for source, _, user, read_only, _ in mounts:
        if source in WRITTEN_BY and not read_only and (source, user) != ("s3", "65534:65534"):
            assert user == f"{WRITTEN_BY[source]}:{WRITTEN_BY[source]}", source


SUBSETS = [c for n in range(4) for c in itertools.combinations(PROFILES, n)]


@pytest.mark.parametrize("left_out", SUBSETS, ids="-".join)
def test_parts_can_be_left_out(tmp_path: Path, left_out: tuple[str, ...]) -> None:
    services = load(tmp_path, profiles=set(PROFILES) - set(left_out))["services"]
    gone = {"s3": {"versitygw"}, "monitoring": {"prometheus", "alertmanager"}, "grafana": {"grafana"}}
    missing = set().union(*(gone[profile] for profile in left_out))
    assert services.keys() == set(SERVICES) - missing - {"catwalk", "serve"}
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services or not how["required"], f"{name} waits for {other}, which is left out"


def test_services_wait_for_healthy_or_completed_services(project: dict[str, Any]) -> None:
    for name, service in project["services"].items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ONCE else "service_healthy"
            assert how["condition"] == wanted, f"{name} → {other}"


def test_aws_needs_an_empty_endpoint_only(tmp_path: Path) -> None:
    services = load(tmp_path, profiles=["monitoring"], AWS_ENDPOINT_URL_S3="", AWS_REGION="eu-central-1")["services"]
    for name in ("airflow-worker", "exporter", "airflow-init"):
        assert services[name]["environment"]["AWS_ENDPOINT_URL_S3"] == ""
        assert services[name]["environment"]["AWS_REGION"] == "eu-central-1"
        assert "front" in services[name]["networks"]


def test_arguments_of_writes_reach_every_writer_unchanged(tmp_path: Path) -> None:
    text = '{"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:eu-central-1:1:key/x"}'
    services = load(tmp_path, CATWALK_S3_PUT_ARGUMENTS=text, CATWALK_S3_REQUEST_PAYER="requester")["services"]
    for name in ("airflow-worker", "exporter"):
        assert services[name]["environment"]["CATWALK_S3_PUT_ARGUMENTS"] == text
        assert services[name]["environment"]["CATWALK_S3_REQUEST_PAYER"] == "requester"


def test_our_own_s3_is_in_the_region_that_its_clients_name(tmp_path: Path) -> None:
    services = load(tmp_path, AWS_REGION="eu-central-1")["services"]
    assert services["versitygw"]["environment"]["VGW_REGION"] == "eu-central-1"


def test_a_folder_can_hold_the_dataset(tmp_path: Path) -> None:
    mounts = load(tmp_path, CATWALK_DATASETS="./data")["services"]["airflow-worker"]["volumes"]
    assert [mount["type"] for mount in mounts if mount["target"] == "/opt/catwalk/data"] == ["bind"]


def test_every_variable_is_in_the_example_with_its_default(tmp_path: Path) -> None:
    documented = dict(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))
    assert documented.keys() == VARIABLES
    (tmp_path / "bare").mkdir()
    bare = load(tmp_path / "bare")
    spelt = load(tmp_path / "spelt", **{n: v for n, v in documented.items() if n not in credentials.generate()})
    secrets = env_file.read(tmp_path / "bare" / ".env"), env_file.read(tmp_path / "spelt" / ".env")
    texts = [repr(bare).replace("/bare", ""), repr(spelt).replace("/spelt", "")]
    for index, known in enumerate(secrets):
        for name in credentials.generate():
            texts[index] = texts[index].replace(known[name], name)
    assert texts[0] == texts[1], "a default in .env.example is not docker-compose.yaml's"


# Drift: the same flags, files and settings as the native stack, with the exceptions named here.
NATIVE = {
    "versitygw": "s3",
    "statsd-exporter": "statsd_exporter",
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
}
CONTAINERS_ONLY = {"--web.external-url", "--web.route-prefix"}
PLACES = ("--config.file", "--storage.", "--web.listen-address", "--web.config.file", "--statsd.", "--port", "/")
"""Flags whose values are addresses and paths; retention is not a location."""


def _flags(command: list[str]) -> dict[str, str]:
    """Returns flag → value, without the values of locations and without paths that have no flag."""
    found = {}
    words = iter(command)
    for word in words:
        flag, equals, value = word.partition("=")
        if not equals and flag in ("--port", "--health"):
            value = next(words)
        place = flag.startswith(PLACES) and "retention" not in flag
        if not flag.startswith("/"):
            found[flag] = "" if place else value
    return found


@pytest.mark.parametrize(("container", "part"), NATIVE.items())
def test_servers_get_the_native_flags(tmp_path: Path, project: dict[str, Any], container: str, part: str) -> None:
    native = _flags([word for word in parts(Settings(tmp_path))[part].command[1:] if "sidecar" not in word])
    ours = _flags(project["services"][container]["command"])
    assert {flag: value for flag, value in ours.items() if flag not in CONTAINERS_ONLY} == native


def test_our_services_run_the_native_modules(tmp_path: Path, project: dict[str, Any]) -> None:
    celery = ("AIRFLOW__CORE__EXECUTOR=CeleryExecutor", "AIRFLOW__CELERY__BROKER_URL=redis://127.0.0.1:1/0")
    (tmp_path / "local.env").write_text("\n".join(celery))
    native = parts(Settings(tmp_path))
    for name in ("exporter", "courier"):
        ours, theirs = project["services"][name]["command"], native[name].command
        assert ours[1:4] == [theirs[1], theirs[2], "--host"]
    for name in ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"):
        assert project["services"][name]["command"] == ["airflow", *native[name].command[1:]]


def test_the_same_configuration_files_are_mounted(folder: Path, project: dict[str, Any]) -> None:
    def mounted(name: str) -> dict[str, Path]:
        mounts = project["services"][name]["volumes"]
        return {m["target"]: in_repository(m["source"], folder) for m in mounts if m["type"] == "bind"}

    prometheus = mounted("prometheus")
    assert prometheus["/etc/catwalk/prometheus.yml"] == PROJECT / "prometheus" / "prometheus.yml"
    assert prometheus["/etc/catwalk/rules"] == PROJECT / "prometheus" / "rules"
    mapping = mounted("statsd-exporter")["/etc/catwalk/statsd_mapping.yaml"]
    assert mapping == PROJECT / "catwalk" / "telemetry" / "statsd_mapping.yaml"
    grafanas = mounted("grafana")
    assert grafanas["/etc/grafana/provisioning"] == grafana.FOLDER / "provisioning"
    assert grafanas["/etc/catwalk/dashboards"] == grafana.FOLDER / "json"
    airflow = [name for name in project["services"] if name.startswith("airflow-")]
    for name in airflow:
        files = project["services"][name]["env_file"]
        assert [in_repository(one["path"], folder) for one in files] == [PROJECT / "stack" / "catwalk.env"]


def test_prometheus_finds_every_target_under_its_service(project: dict[str, Any]) -> None:
    configuration = yaml.safe_load((PROJECT / "prometheus" / "prometheus.yml").read_text())
    groups = [job["file_sd_configs"] for job in configuration["scrape_configs"]]
    groups += [one["file_sd_configs"] for one in configuration["alerting"]["alertmanagers"]]
    wanted = {Path(file).name for group in groups for one in group for file in one["files"]}
    there = {
        path.name: yaml.safe_load(path.read_text())
        for path in (PROJECT / "prometheus" / "targets.containers").iterdir()
    }
    assert there.keys() == wanted
    assert there.pop("services.yml") == there.pop("serve.yml") == [], "models in service are for their owner to name"
    ports = {"statsd-exporter": 9102} | {name: port for name, (_, port) in PAGES.items()}
    for file, (group,) in there.items():
        host, _, port = group["targets"][0].partition(":")
        assert host == Path(file).stem.replace("_", "-")
        assert host in project["services"]
        assert int(port) == ports[host]
        assert group.keys() == {"targets"}, "the native targets have no labels of their own"


def test_grafana_gets_the_native_settings(tmp_path: Path, project: dict[str, Any]) -> None:
    ours = project["services"]["grafana"]["environment"]
    places = r"GF_(PATHS_.*|SERVER_.*|SECURITY_ADMIN_PASSWORD|DASHBOARDS_DEFAULT_HOME.*)|CATWALK_.*"
    native = grafana.environment(Settings(tmp_path), "")
    expected = {name: value for name, value in native.items() if not re.fullmatch(places, name)}
    assert {name: ours.get(name) for name in expected} == expected
    assert ours["GF_AUTH_ANONYMOUS_ENABLED"] == "false"


def test_make_env_writes_a_private_file_and_keeps_what_is_set(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert set(write_environment(path)) >= credentials.generate().keys()
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_text()
    assert write_environment(path) == []
    assert path.read_text() == before
    values = env_file.read(path)
    assert len({values[name] for name in credentials.generate()}) == len(credentials.generate())

    kept = before.replace("COMPOSE_PROFILES=s3,monitoring,grafana", "COMPOSE_PROFILES=")
    kept = re.sub(r"^CATWALK_REDIS_PASSWORD=.*\n", "", kept, flags=re.MULTILINE) + "MINE=1\n"
    path.write_text(kept)
    path.chmod(0o644)
    assert write_environment(path) == ["CATWALK_REDIS_PASSWORD"]
    assert path.read_text().startswith(kept)
    assert path.stat().st_mode & 0o777 == 0o600


def test_make_env_says_what_was_renamed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / ".env"
    path.write_text("CATWALK_PORT_REGISTRY=29180\n# CATWALK_REGISTRY_URL=http://old.example\n")
    write_environment(path)
    assert path.read_text().startswith("CATWALK_PORT_REGISTRY=29180\n")
    assert [record.getMessage() for record in caplog.records] == [
        f"CATWALK_PORT_REGISTRY is now called CATWALK_PORT_EXPORTER; rename it in {path}, because only this release "
        "still reads the old name"
    ]


def test_containers_can_read_mounted_files_with_any_umask(tmp_path: Path, folder: Path) -> None:
    """Simulates a checkout with a umask of 077, and `make env` on a machine without a setup."""
    copy = tmp_path / "checkout"
    for name in (
        "Makefile",
        "docker-compose.yaml",
        ".env.example",
        "catwalk",
        "ml",
        "stack",
        "monitoring",
        "prometheus",
        "grafana",
    ):
        source, target = PROJECT / name, copy / name
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    make = ["make", "-C", str(copy), f"PYTHON={sys.base_prefix}/bin/python3 -S", "env"]
    shell = ["sh", "-c", 'chmod -R go= "$0" && umask 077 && exec "$@"', str(copy), *make]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (copy / ".venv").exists()
    mounts = [m for service in load(folder)["services"].values() for m in service.get("volumes", ())]
    bound = {Path(mount["source"]).relative_to(folder) for mount in mounts if mount["type"] == "bind"}
    assert len(bound) > 5
    for path in bound:
        for each in (copy / path, *(copy / path).rglob("*")):
            assert each.stat().st_mode & 0o007 == (0o005 if each.is_dir() else 0o004), each
    assert (copy / ".env").stat().st_mode & 0o777 == 0o600
    assert (copy / ".catwalk").stat().st_mode & 0o777 == 0o700


def test_secrets_are_strong_and_need_no_quoting_in_a_url() -> None:
    for name, value in credentials.generate().items():
        assert re.fullmatch(r"[A-Za-z0-9_-]{18,}=?", value), name
        assert "=" not in value or name == "AIRFLOW__CORE__FERNET_KEY"


def test_the_catwalk_command_names_pages_that_people_can_open(tmp_path: Path) -> None:
    ours = load(tmp_path, CATWALK_PORT_EXPORTER="29180", CATWALK_BY="ada")["services"]["catwalk"]["environment"]
    assert ours["CATWALK_EXPORTER_PUBLIC_URL"] == "http://127.0.0.1:29180"
    assert ours["CATWALK_BY"] == "ada"
    assert "CATWALK_DEPLOYMENT=compose" in (PROJECT / "Dockerfile").read_text()
