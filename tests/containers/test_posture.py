"""Who reaches, sees and may do what in the containers, from this machine and from inside each network."""

from __future__ import annotations

import json
import socket

import psutil
import pytest

from catwalk.environment import env_file
from tests.containers.composed import TAG, ComposedStack, lasting, service
from tests.integration.test_posture import BEHIND_THE_PASSWORD, ask, leaks, secrets_of

pytestmark = [pytest.mark.integration, pytest.mark.containers, pytest.mark.timeout(3600)]

PAGES = {"airflow-api-server:8080", "exporter:9180", "courier:9181", "prometheus:9090", "alertmanager:9093"}
SERVER = {"serve:9182", "serve:9183"}
METRICS = {"statsd-exporter:9102"}
STATSD, S3, DATABASES = {"statsd-exporter:9125"}, {"versitygw:7070"}, {"postgres:5432", "redis:6379"}
ALL = PAGES | SERVER | METRICS | STATSD | S3 | DATABASES
REACHED = {
    "front": PAGES | SERVER | METRICS | STATSD,
    "back": PAGES | SERVER | METRICS | STATSD | S3,
    "databases": DATABASES | {"airflow-api-server:8080"},
}
"""Network → what a container that is in no other one reaches."""
PROBE = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def reached(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError:
        return False
    return True

with ThreadPoolExecutor(32) as pool:
    print(json.dumps([address for address, yes in zip(sys.argv[1:], pool.map(reached, sys.argv[1:])) if yes]))
"""
"""Prints which of its arguments answer."""


def probe(stack: ComposedStack, network: str, addresses: list[str]) -> set[str]:
    """What is reached from a container in one network."""
    isolated = ["--rm", "--network", network, "--entrypoint", "python", f"catwalk:{TAG}"]
    return set(json.loads(stack.engine.run("run", *isolated, "-c", PROBE, *addresses)))


def test_nobody_is_root_or_may_become_it(stack: ComposedStack) -> None:
    for one in lasting(stack):
        name = service(one)
        users = stack.engine.run("top", one["Id"], "-eo", "uid,pid").split()[2::2]
        assert users and "0" not in users, name
        status = stack.engine.run("exec", one["Id"], "cat", "/proc/1/status")
        told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert (told["CapEff"], told["CapPrm"], told["CapBnd"]) == ("0" * 16,) * 3, name
        assert told["NoNewPrivs"] == "1", name


def test_nothing_can_be_written_but_volumes_and_what_goes_with_the_container(stack: ComposedStack) -> None:
    for one in lasting(stack):
        writable = {mount["Destination"] for mount in one["Mounts"] if mount["RW"]}
        kinds = {mount["Type"] for mount in one["Mounts"] if mount["RW"]}
        assert kinds <= {"volume"} | ({"bind"} if "/opt/catwalk/data" in writable else set()), service(one)
        for folder in ("/", "/usr", "/etc", "/opt", "/var", "/var/lib", "/home", "/opt/catwalk", "/etc/catwalk"):
            done = stack.engine.attempt("exec", one["Id"], "sh", "-c", f"echo > {folder}/written-by-a-test")
            assert done.returncode, f"{service(one)} writes to {folder}"


def test_no_command_line_and_no_log_shows_a_secret(stack: ComposedStack) -> None:
    secrets = secrets_of(stack.settings)
    for one in stack.containers():
        config = one["Config"]
        described = [one["Path"], one["Args"], config["Cmd"], config["Entrypoint"], config["Labels"], one["Mounts"]]
        seen = json.dumps([*described, config.get("Healthcheck")])
        if one["State"]["Running"]:
            seen += stack.engine.run("top", one["Id"], "-eo", "pid,args")
        assert leaks(seen.encode(), secrets) == [], service(one)
    assert leaks(stack.compose("logs", "--no-color").encode(), secrets) == []


def test_the_image_holds_no_secret(stack: ComposedStack) -> None:
    image = f"catwalk:{TAG}"
    told = stack.engine.run("image", "inspect", image) + stack.engine.run("history", "--no-trunc", image)
    assert leaks(told.encode(), secrets_of(stack.settings)) == []
    files = stack.engine.run("run", "--rm", "--network", "none", image, "ls", "-a", "/opt/catwalk").split()
    assert "catwalk" in files
    assert not {".env", ".git", ".catwalk", "tests"} & set(files)


def test_the_image_with_torch_for_cpus_is_small(stack: ComposedStack) -> None:
    if env_file.read(stack.folder / ".env")["UV_TORCH_BACKEND"] != "cpu":
        pytest.skip("NOT TESTED: the size of the image, for PyTorch's builds for CPUs can't be had here")
    assert int(stack.engine.run("image", "inspect", "--format", "{{.Size}}", f"catwalk:{TAG}")) <= 2.5e9


@pytest.mark.parametrize(("part", "path"), BEHIND_THE_PASSWORD)
def test_prometheus_and_alertmanager_show_nothing_to_a_stranger(stack: ComposedStack, part: str, path: str) -> None:
    assert ask(stack.settings, part, path)[0] == 401


def test_airflow_and_the_courier_take_nothing_from_a_stranger(stack: ComposedStack) -> None:
    assert ask(stack.settings, "airflow", "/api/v2/dags")[0] == 401
    assert ask(stack.settings, "courier", "/alertmanager", "POST", {})[0] == 401
    assert ask(stack.settings, "exporter", "/healthz")[0] == 200


def test_ports_are_published_on_loopback_alone(stack: ComposedStack, left_out: set[str]) -> None:
    bindings = [bound for one in lasting(stack) for bound in one["NetworkSettings"]["Ports"].values()]
    published = {(port["HostIp"], int(port["HostPort"])) for bound in bindings for port in bound or ()}
    pages = {"airflow", "exporter", "courier", "prometheus", "alertmanager", "statsd_exporter", "grafana"} - left_out
    parts = pages | {"serve", "serve_metrics"}
    assert published == {("127.0.0.1", stack.settings.ports[part]) for part in parts}
    for _, port in published:
        assert answers("127.0.0.1", port)
        assert [address for address in own_addresses() if answers(address, port)] == []


def answers(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(10)
        return probe.connect_ex((address, port)) == 0


def own_addresses() -> list[str]:
    """The addresses of this machine that other machines may know."""
    found = [entry for entries in psutil.net_if_addrs().values() for entry in entries if entry.family == socket.AF_INET]
    return [entry.address for entry in found if not entry.address.startswith("127.")]


@pytest.mark.parametrize("network", REACHED)
def test_from_inside_a_network_its_services_are_reached_and_no_others(stack: ComposedStack, network: str) -> None:
    name = f"{stack.project}_{network}"
    assert probe(stack, name, sorted(ALL)) == REACHED[network]
    way_out = stack.engine.run("network", "inspect", "--format", "{{not .Internal}}", name).strip()
    assert way_out == ("true" if network == "front" else "false")


def test_containers_of_others_reach_none(stack: ComposedStack) -> None:
    ports = {name.partition(":")[0]: name.partition(":")[2] for name in sorted(ALL)}
    addresses = [
        f"{network['IPAddress']}:{ports[service(one)]}"
        for one in lasting(stack)
        for network in one["NetworkSettings"]["Networks"].values()
        if service(one) in ports
    ]
    assert len(addresses) > len(ports)
    assert probe(stack, "bridge", addresses) == set()
