"""The bucket that Airflow's containers find when they start."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from catwalk.storage.store import Store
from stack import first_start
from stack.ports import free_port
from stack.settings import StackError
from tests.support.servers import ENVIRONMENT, S3Server

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_it_creates_what_is_missing_and_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, region: str
) -> None:
    server = S3Server(tmp_path)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "VGW_REGION"):
        monkeypatch.setenv(name, region)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, ENVIRONMENT[name])
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    server.start()
    try:
        assert first_start.create_bucket("fresh") is True
        client = boto3.session.Session().client("s3")
        client.put_object(Bucket="fresh", Key="kept", Body=b"1")
        assert first_start.create_bucket("fresh") is False
        assert client.get_object(Bucket="fresh", Key="kept")["Body"].read() == b"1"
    finally:
        server.stop()


def test_it_says_what_to_do_if_s3_is_down_or_refuses(
    s3_store: Store, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StackError, match="check AWS_ACCESS_KEY_ID"):
        first_start.create_bucket(s3_store.bucket)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StackError, match="is AWS_ENDPOINT_URL_S3 right"):
        first_start.create_bucket(s3_store.bucket)


def test_it_names_the_missing_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CATWALK_STORE", raising=False)
    assert first_start.main() == 1
    assert capsys.readouterr().err == "stack: CATWALK_STORE is not set\n"


def test_it_refuses_invalid_retries_before_it_does_anything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CATWALK_TASK_RETRIES", "many")
    assert first_start.main() == 1
    assert capsys.readouterr().err.startswith("stack: CATWALK_TASK_RETRIES must be an integer from 0 to 100")


def test_the_first_run_creates_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    users = tmp_path / "users.json"
    monkeypatch.setenv("CATWALK_STORE", f"file://{tmp_path}/ledger")
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(users))
    monkeypatch.setenv("CATWALK_AIRFLOW_PASSWORD", "secret")
    assert first_start.main() == 0
    assert capsys.readouterr().out == f"runs are stored in file://{tmp_path}/ledger; wrote {users}\n"
