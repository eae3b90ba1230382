"""Celery workers are parts only of a stack whose own settings ask for them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from stack.parts import workers
from stack.parts.order import parts
from stack.settings import PROJECT, Settings, StackError

CELERY = "AIRFLOW__CORE__EXECUTOR=CeleryExecutor\n"
PRELOADED = "stack.preloaded_airflow"
BROKER = "AIRFLOW__CELERY__BROKER_URL=redis://:secret@127.0.0.1:1/0\n"


def settings(home: Path, own: str) -> Settings:
    (home / "local.env").write_text(own)
    return Settings(home)


def test_a_stack_on_one_machine_has_no_worker(tmp_path: Path) -> None:
    assert list(workers.find(Settings(tmp_path))) == []
    assert list(workers.find(settings(tmp_path, "AIRFLOW__CORE__PARALLELISM=8\n"))) == []


@pytest.mark.parametrize(
    ("own", "forks"), [("", {"airflow-scheduler"}), (CELERY + BROKER, {"airflow-worker-a", "airflow-worker-b"})]
)
def test_what_forks_tasks_has_loaded_their_libraries(tmp_path: Path, own: str, forks: set[str]) -> None:
    found = parts(settings(tmp_path, own))
    assert {name for name, part in found.items() if PRELOADED in part.command} == forks
    services = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
    assert [name for name, one in services.items() if PRELOADED in one.get("command", ())] == ["airflow-worker"]


def test_with_celery_there_are_two_that_serve_no_logs_and_keep_no_secret_on_the_command_line(tmp_path: Path) -> None:
    found = {name: arguments for name, arguments, _ in workers.find(settings(tmp_path, CELERY + BROKER))}
    assert list(found) == ["airflow-worker-a", "airflow-worker-b"]
    for name, arguments in found.items():
        assert arguments[:2] == ["celery", "worker"]
        assert f"{name.removeprefix('airflow-')}@localhost" in arguments
        assert "--skip-serve-logs" in arguments
        assert not [argument for argument in arguments if "secret" in argument]


def test_others_can_be_named(tmp_path: Path) -> None:
    own = settings(tmp_path, f"{CELERY}{BROKER}CATWALK_WORKERS=one,two,three\n")
    assert [name for name, _, _ in workers.find(own)] == ["airflow-one", "airflow-two", "airflow-three"]


def test_an_empty_list_of_names_is_none(tmp_path: Path) -> None:
    own = settings(tmp_path, f"{CELERY}{BROKER}CATWALK_WORKERS=\n")
    assert len(list(workers.find(own))) == 2


@pytest.mark.parametrize("names", ["a,,b", "a b", "a;b", "worker/1"])
def test_an_invalid_name_is_refused(tmp_path: Path, names: str) -> None:
    with pytest.raises(StackError, match="CATWALK_WORKERS must be names"):
        list(workers.find(settings(tmp_path, f"{CELERY}{BROKER}CATWALK_WORKERS={names}\n")))


@pytest.mark.integration  # a refused connection is retried for some seconds
def test_a_worker_whose_broker_is_gone_is_not_healthy(tmp_path: Path) -> None:
    _, _, healthy = next(workers.find(settings(tmp_path, CELERY + BROKER)))
    assert not healthy()


def test_celery_without_a_broker_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"sets CeleryExecutor; set AIRFLOW__CELERY__BROKER_URL there too"):
        list(workers.find(settings(tmp_path, CELERY)))
