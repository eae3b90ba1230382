"""Access control: every port of the running stack, without credentials, with wrong ones and with the right ones."""

from __future__ import annotations

import base64
import http.client
import importlib.util
import json
import re
import stat
from collections.abc import Mapping
from pathlib import Path

import boto3
import jwt
import psutil
import pytest
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError

from catwalk.clients import access
from catwalk.clients.airflow_api import AirflowApi, AirflowError
from stack.configuration import credentials
from stack.native.processes import processes
from stack.parts.health import monitoring_password
from stack.parts.order import parts
from stack.settings import Settings
from tests.conftest import RunningStack
from tests.support import listening
from tests.support.notifying import notification
from tests.support.servers import wait_until

pytestmark = pytest.mark.integration

DEFAULTS = [("admin", "admin"), ("airflow", "airflow"), ("catwalk", "catwalk"), ("catwalk", ""), ("", ""),
            ("admin", "password"), ("minioadmin", "minioadmin"), ("admin", "prom-operator")]  # fmt: skip
"""Default users and passwords of well-known products."""


def ask(
    settings: Settings,
    part: str,
    path: str,
    method: str = "GET",
    body: object = None,
    authorization: str = "",
) -> tuple[int, bytes]:
    """Status and body of one request to a part, without following redirects."""
    connection = http.client.HTTPConnection("127.0.0.1", settings.ports[part], timeout=60)
    headers = {"Authorization": authorization} if authorization else {}
    content = None if body is None else json.dumps(body)
    try:
        connection.request(method, path, content, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def secrets_of(settings: Settings) -> dict[str, str]:
    """Secrets that no page may show. The access key's id is a user name, and travels with each request."""
    found = credentials.load_or_create(settings.home / "secrets.env")
    assert len(found) > 6
    return {name: value for name, value in found.items() if name != "AWS_ACCESS_KEY_ID"}


def leaks(content: bytes, secrets: Mapping[str, str]) -> list[str]:
    """Returns the names of the secrets in some content, in plain form or as basic auth sends them."""
    return [
        name
        for name, value in secrets.items()
        if value.encode() in content or base64.b64encode(f"{access.USER}:{value}".encode()) in content
    ]


# --- what listens -----------------------------------------------------------------------------------------------------


def test_the_parts_ports_listen_on_loopback_and_nothing_else(stack: RunningStack) -> None:
    assert listening.found(stack.settings) == listening.expected(stack.settings, list(parts(stack.settings)))


def test_the_supervisors_socket_is_its_owners(stack: RunningStack) -> None:
    status = stack.settings.socket.stat()
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) & 0o077 == 0


# --- Prometheus and Alertmanager --------------------------------------------------------------------------------------

BEHIND_THE_PASSWORD = [
    ("prometheus", "/"),
    ("prometheus", "/-/healthy"),
    ("prometheus", "/-/ready"),
    ("prometheus", "/metrics"),
    ("prometheus", "/federate"),
    ("prometheus", "/debug/pprof/cmdline"),
    ("prometheus", "/api/v1/query?query=up"),
    ("prometheus", "/api/v1/status/config"),
    ("prometheus", "/no/such/page"),
    ("alertmanager", "/"),
    ("alertmanager", "/-/healthy"),
    ("alertmanager", "/-/ready"),
    ("alertmanager", "/metrics"),
    ("alertmanager", "/api/v2/alerts"),
    ("alertmanager", "/api/v2/status"),
    ("alertmanager", "/no/such/page"),
]


@pytest.mark.parametrize(("part", "path"), BEHIND_THE_PASSWORD)
def test_prometheus_and_alertmanager_show_nothing_to_a_stranger(stack: RunningStack, part: str, path: str) -> None:
    assert ask(stack.settings, part, path)[0] == 401
    assert ask(stack.settings, part, path, "POST", {})[0] == 401
    right = ask(stack.settings, part, path, authorization=access.header(monitoring_password(stack.settings)))
    assert right[0] == {"/no/such/page": 404, "/": 302 if part == "prometheus" else 200}.get(path, 200)


@pytest.mark.parametrize("part", ["prometheus", "alertmanager"])
def test_their_defaults_are_refused(stack: RunningStack, part: str) -> None:
    for user, password in DEFAULTS:
        header = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        assert ask(stack.settings, part, "/-/ready", authorization=header)[0] == 401, (user, password)


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/-/quit", "POST"),
        ("/-/reload", "POST"),
        ("/api/v1/admin/tsdb/snapshot", "POST"),
        ("/api/v1/admin/tsdb/delete_series?match[]=up", "POST"),
        ("/api/v1/write", "POST"),
        ("/api/v1/otlp/v1/metrics", "POST"),
    ],
)
def test_no_one_can_stop_or_change_prometheus_by_http(stack: RunningStack, path: str, method: str) -> None:
    authorization = access.header(monitoring_password(stack.settings))
    status, body = ask(stack.settings, "prometheus", path, method, {}, authorization)
    assert status in (403, 404, 405) or b"disabled" in body
    assert ask(stack.settings, "prometheus", "/-/ready", authorization=authorization)[0] == 200


# --- courier, exporter and statsd_exporter: open pages, closed inlets -------------------------------------------------

OPEN = [
    ("courier", "/"),
    ("courier", "/healthz"),
    ("courier", "/metrics"),
    ("courier", "/api/notifications"),
    ("courier", "/runbooks/"),
    ("exporter", "/"),
    ("exporter", "/?q=mlp&sort=-test&size=25"),
    ("exporter", "/models"),
    ("exporter", "/healthz"),
    ("exporter", "/metrics"),
    ("serve", "/healthz"),
    ("serve", "/model"),
    ("serve_metrics", "/metrics"),
    ("statsd_exporter", "/"),
    ("statsd_exporter", "/-/healthy"),
    ("statsd_exporter", "/metrics"),
]


@pytest.mark.parametrize(("part", "path"), OPEN)
def test_pages_that_only_show_are_open_and_hold_no_secret(stack: RunningStack, part: str, path: str) -> None:
    status, body = wait_until(lambda: (found := ask(stack.settings, part, path))[0] == 200 and found, path)  # type: ignore[misc]
    assert status == 200
    assert leaks(body, secrets_of(stack.settings)) == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/compare", 400),
        ("/compare?run=20200101T000000Z-00000000&run=../secrets.env", 404),
        ("/?page=9999", 404),
        ("/?sort=%3Cscript%3E", 400),
        (f"/?q={'x' * 10_000}", 414),
    ],
)
def test_the_exporter_refuses_in_a_sentence_what_it_cant_show(stack: RunningStack, path: str, status: int) -> None:
    found, body = ask(stack.settings, "exporter", path)
    assert found == status
    assert b"<h1>" in body and b"<script" not in body and b"Traceback" not in body
    assert leaks(body, secrets_of(stack.settings)) == []


@pytest.mark.parametrize("part", ["exporter", "serve", "serve_metrics", "statsd_exporter"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_they_accept_nothing(stack: RunningStack, part: str, method: str) -> None:
    for path in ("/-/quit", "/-/reload", "/runs", "/compare", "/alertmanager"):
        status, _ = ask(stack.settings, part, path, method, {})
        assert status in (403, 404, 405, 501), path


def test_the_courier_accepts_notifications_only_from_alertmanager(stack: RunningStack) -> None:
    forged = notification("ForgedAlert", severity="critical")
    refused = [("", ""), *((user, password) for user, password in DEFAULTS if user)]
    for user, password in refused:
        header = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
        assert ask(stack.settings, "courier", "/alertmanager", "POST", forged, header)[0] == 401
        assert ask(stack.settings, "courier", "/planned-stop", "POST", {"seconds": 600}, header)[0] == 401
        assert ask(stack.settings, "courier", "/test-callouts", "POST", {}, header)[0] == 401
    assert b"ForgedAlert" not in ask(stack.settings, "courier", "/api/notifications?limit=1000")[1]
    heard = 'catwalk_courier_deadman_state{state="well"} == 1'
    wait_until(lambda: stack.query(heard), "Alertmanager's own Watchdog is accepted")


# --- Airflow ----------------------------------------------------------------------------------------------------------

OPEN_IN_AIRFLOW = {
    "GET /api/v2/monitor/health",
    "GET /api/v2/version",
    "GET /ui/auth/login",
    # Where users log in and out: these ask for the password themselves.
    "GET /api/v2/auth/login",
    "GET /api/v2/auth/logout",
    "POST /auth/token",
    "POST /auth/token/cli",
}


def airflow_routes() -> list[tuple[str, str]]:
    """Returns the method and path of each route that Airflow documents, including those of its pages."""
    spec = importlib.util.find_spec("airflow")
    assert spec and spec.submodule_search_locations
    root = Path(spec.submodule_search_locations[0]) / "api_fastapi"
    files = [*root.glob("core_api/openapi/*.yaml"), *root.glob("auth/managers/simple/openapi/*.yaml")]
    found = []
    for file in files:
        prefix = "/auth" if "simple" in file.parts else ""
        for path, methods in yaml.safe_load(file.read_text())["paths"].items():
            here = path if path.startswith(("/api", "/ui", "/auth")) else prefix + path
            found += [
                (method.upper(), here) for method in methods if method in ("get", "post", "put", "patch", "delete")
            ]
    return sorted(set(found))


def test_airflow_answers_nothing_to_a_stranger(stack: RunningStack) -> None:
    routes = airflow_routes()
    assert len(routes) > 120
    answered = {}
    for method, path in routes:
        filled = re.sub(r"\{(\w+)\}", lambda found: "1" if found[1] in ("try_number", "map_index") else "x", path)
        status, _ = ask(stack.settings, "airflow", filled, method, None if method == "GET" else {})
        if status not in (401, 403) and f"{method} {path}" not in OPEN_IN_AIRFLOW:
            answered[f"{method} {path}"] = status
    assert answered == {}


def test_airflow_refuses_defaults_and_takes_the_generated_password(stack: RunningStack) -> None:
    url = stack.settings.url("airflow")
    for user, password in DEFAULTS:
        with pytest.raises(AirflowError):
            AirflowApi(url, user, password).request("GET", "dags")
    assert stack.airflow("GET", "dags")["dags"]


def test_airflow_refuses_tokens_that_others_have_signed(stack: RunningStack) -> None:
    secrets = credentials.load_or_create(stack.settings.home / "secrets.env")
    login = {"username": "admin", "password": secrets["CATWALK_AIRFLOW_PASSWORD"]}
    token = json.loads(ask(stack.settings, "airflow", "/auth/token", "POST", login)[1])["access_token"]

    def status(candidate: str, path: str = "/api/v2/dags") -> int:
        return ask(stack.settings, "airflow", path, authorization=f"Bearer {candidate}")[0]

    assert status(token) == 200
    claims = jwt.decode(token, options={"verify_signature": False})
    header = jwt.get_unverified_header(token)
    same = jwt.encode(claims, secrets["AIRFLOW__API_AUTH__JWT_SECRET"], header["alg"], {"kid": header.get("kid", "")})
    assert status(same) == 200, "otherwise, what follows would prove nothing"
    for secret in ("x" * 64, secrets["AIRFLOW__API__SECRET_KEY"]):
        assert status(jwt.encode(claims, secret, header["alg"], {"kid": header.get("kid", "")})) in (401, 403)
    assert status(jwt.encode(claims, None, "none")) in (401, 403)
    assert status(token[:-4]) in (401, 403)


def test_tasks_have_their_own_inlet_that_no_user_can_use(stack: RunningStack) -> None:
    path = "/execution/variables/x"
    assert ask(stack.settings, "airflow", path)[0] in (401, 403)
    secrets = credentials.load_or_create(stack.settings.home / "secrets.env")
    login = {"username": "admin", "password": secrets["CATWALK_AIRFLOW_PASSWORD"]}
    token = json.loads(ask(stack.settings, "airflow", "/auth/token", "POST", login)[1])["access_token"]
    assert ask(stack.settings, "airflow", path, authorization=f"Bearer {token}")[0] in (401, 403)


# --- S3 ---------------------------------------------------------------------------------------------------------------


def test_s3_wants_the_right_keys(stack: RunningStack) -> None:
    assert ask(stack.settings, "s3", "/healthz")[0] == 200
    for method, path in (("GET", "/"), ("GET", "/catwalk"), ("PUT", "/catwalk/forged"), ("DELETE", "/catwalk/x")):
        assert ask(stack.settings, "s3", path, method)[0] == 403, path
    known = credentials.load_or_create(stack.settings.home / "secrets.env")
    wrong = [pair for pair in DEFAULTS if all(pair)] + [(known["AWS_ACCESS_KEY_ID"], "guessed")]
    for key, secret in wrong:
        with pytest.raises(ClientError) as refused:
            s3(stack.settings, key, secret).list_objects_v2(Bucket="catwalk")
        # XAdminUserNotFound is versitygw's error for an unknown key.
        assert refused.value.response["Error"]["Code"] in ("XAdminUserNotFound", "SignatureDoesNotMatch"), key
    s3(stack.settings, known["AWS_ACCESS_KEY_ID"], known["AWS_SECRET_ACCESS_KEY"]).list_objects_v2(Bucket="catwalk")


def s3(settings: Settings, key: str, secret: str):  # type: ignore[no-untyped-def]
    """A client without retries."""
    return boto3.session.Session(key, secret, region_name="us-east-1").client(
        "s3", endpoint_url=settings.url("s3"), config=Config(retries={"total_max_attempts": 1})
    )


# --- Grafana ----------------------------------------------------------------------------------------------------------


def test_grafana_if_it_runs_knows_no_stranger_and_no_default(stack: RunningStack) -> None:
    if "grafana" not in parts(stack.settings):
        pytest.skip("no grafana on the PATH")
    password = credentials.load_or_create(stack.settings.home / "secrets.env")["CATWALK_GRAFANA_PASSWORD"]
    for path in ("/api/search", "/api/datasources", "/api/dashboards/uid/catwalk-home"):
        assert ask(stack.settings, "grafana", path)[0] == 401
        for user, wrong in DEFAULTS:
            header = "Basic " + base64.b64encode(f"{user}:{wrong}".encode()).decode()
            assert ask(stack.settings, "grafana", path, authorization=header)[0] == 401, user
        right = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()
        assert ask(stack.settings, "grafana", path, authorization=right)[0] == 200


# --- secrets at rest and in sight -------------------------------------------------------------------------------------


def test_files_with_secrets_are_their_owners(stack: RunningStack) -> None:
    """Every file in the stack's home either holds no secret, or only its owner can read it."""
    home, secrets = stack.settings.home, secrets_of(stack.settings)
    holders, exposed = set(), {}
    for path in home.rglob("*"):
        try:
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        except FileNotFoundError:  # Prometheus' and Airflow's files come and go
            continue
        found = leaks(content, secrets)
        if found:
            holders.add(re.sub(r"^parts/.*\.sh$", "parts/*.sh", str(path.relative_to(home))))
            if status.st_mode & 0o077:
                exposed[str(path.relative_to(home))] = found
    assert exposed == {}
    assert holders == {
        "secrets.env",
        "environment",
        "parts/*.sh",
        "airflow/passwords.json",
        "prometheus/access/monitoring_password",
        "prometheus/access/client.yml",
        "alertmanager/monitoring_password",
        "alertmanager/client.yml",
    }
    for name in ("prometheus/access/web.yml", "alertmanager/web.yml"):  # hashes
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600


def test_no_secret_is_on_a_command_line_or_in_what_the_parts_show(stack: RunningStack) -> None:
    secrets = secrets_of(stack.settings)
    running = processes(stack.settings)
    assert len(running) > len(parts(stack.settings))
    for process in running:
        try:
            assert leaks("\0".join(process.cmdline()).encode(), secrets) == [], process
        except psutil.NoSuchProcess:
            continue
    authorization = access.header(monitoring_password(stack.settings))
    for part, path in (
        ("prometheus", "/api/v1/status/config"),
        ("prometheus", "/api/v1/status/flags"),
        ("prometheus", "/api/v1/targets"),
        ("prometheus", "/debug/pprof/cmdline"),
        ("alertmanager", "/api/v2/status"),
    ):
        assert leaks(ask(stack.settings, part, path, authorization=authorization)[1], secrets) == [], path
