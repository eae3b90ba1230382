"""PostgreSQL and Redis from the system's packages, as a distributed Airflow needs them: with passwords, on loopback."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack.ports import free_port
from tests.support.servers import wait_for_port, wait_until

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Databases:
    """Where the two listen, as settings of Airflow."""

    postgres_port: int
    postgres_password: str
    redis_port: int
    redis_password: str

    @property
    def airflow(self) -> dict[str, str]:
        """Airflow's settings for them."""
        database = f"airflow:{self.postgres_password}@{HOST}:{self.postgres_port}/airflow"
        return {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{database}",
            "AIRFLOW__CELERY__BROKER_URL": f"redis://:{self.redis_password}@{HOST}:{self.redis_port}/0",
        }


def not_installed() -> str:
    """Which of the two can't be found, as people say it; empty: none."""
    lacking = [
        name for name, found in (("PostgreSQL", _postgres()), ("Redis", shutil.which("redis-server"))) if not found
    ]
    return " and ".join(lacking)


@contextmanager
def databases() -> Iterator[Databases]:
    """Both servers, with data of their own that goes when they end."""
    account = Databases(free_port(), secrets.token_urlsafe(18), free_port(), secrets.token_urlsafe(18))
    folder = Path(tempfile.mkdtemp(prefix="catwalk-databases-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user, who must find his own folder in it
    try:
        with _postgres_server(folder / "postgres", account), _redis_server(folder / "redis", account):
            yield account
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _postgres_server(folder: Path, account: Databases) -> Iterator[None]:
    programs, owner = _postgres(), _owner()
    assert programs is not None
    folder.mkdir()
    shutil.chown(folder, owner)
    password = folder / "password"
    password.write_text(account.postgres_password)
    shutil.chown(password, owner)
    password.chmod(0o600)
    data = folder / "data"
    as_owner = {"user": owner} if os.geteuid() == 0 else {}
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "airflow", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=folder,
        **as_owner,  # type: ignore[call-overload]
    )
    settings = {"listen_addresses": HOST, "port": account.postgres_port, "unix_socket_directories": "", "fsync": "off"}
    flags = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [programs / "postgres", "-D", data, *flags], stdout=log, stderr=log, cwd=folder, **as_owner
        )
    try:
        ready = [programs / "pg_isready", "-q", "-h", HOST, "-p", str(account.postgres_port)]
        wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL accepts connections")
        subprocess.run(
            [programs / "createdb", "-h", HOST, "-p", str(account.postgres_port), "-U", "airflow", "airflow"],
            env={**os.environ, "PGPASSWORD": account.postgres_password},
            check=True,
            timeout=60,
        )
        yield
    finally:
        process.send_signal(signal.SIGINT)  # its "fast" shutdown, which waits for no client
        process.wait(20)


@contextmanager
def _redis_server(folder: Path, account: Databases) -> Iterator[None]:
    folder.mkdir()
    configuration = folder / "redis.conf"
    configuration.touch(mode=0o600)  # a password on the command line would be for all to see
    configuration.write_text(
        f'bind {HOST}\nport {account.redis_port}\nrequirepass {account.redis_password}\ndir {folder}\nsave ""\n'
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["redis-server", configuration], stdout=log, stderr=log)
    try:
        wait_for_port(account.redis_port, process)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _postgres() -> Path | None:
    """The folder of PostgreSQL's programs: Debian keeps them off the PATH, a folder a version."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def _owner() -> str:
    """Whom PostgreSQL runs as: it refuses to be root."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() != 0:
        return me
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
