"""Which settings reach the S3 client: the caller's own for the caller's S3, none of them for the stack's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from catwalk.errors import ConfigError, StoreError, StoreUnavailableError
from catwalk.storage import s3
from catwalk.storage.s3_store import S3Store
from catwalk.storage.store import Patience, Store
from tests.support.between import Asked, BeforeS3, Proxy
from tests.support.servers import ENVIRONMENT, S3Server

OWN = {
    **ENVIRONMENT,
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:7",
    "CATWALK_PORT_S3": "7",
}


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A caller whose shell and home are configured for another S3, and are partly broken."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        "[default]\nregion = eu-west-3\nignore_configured_endpoint_urls = true\nca_bundle = /nowhere\ns3 =\n"
        "  use_accelerate_endpoint = true\n  addressing_style = virtual\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in {
        "AWS_SESSION_TOKEN": "of another S3",
        "AWS_PROFILE": "prod",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "AWS_MAX_ATTEMPTS": "many",
        "AWS_RETRY_MODE": "odd",
        "AWS_DEFAULTS_MODE": "odd",
        "AWS_CA_BUNDLE": "/nowhere",
        "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "odd",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "odd",
    }.items():
        monkeypatch.setenv(name, value)


def sent(client: Any, call: str = "list_objects_v2", **arguments: Any) -> Any:
    """Returns the signed request that a client would send; it gets an empty answer."""
    caught: list[Any] = []

    def catch(request: Any, **_: Any) -> AWSResponse:
        caught.append(request)
        return AWSResponse(request.url, 200, {"ETag": '"x"'}, _Empty())

    client.meta.events.register("before-send.s3", catch)
    getattr(client, call)(**{"Bucket": "bucket", **arguments})
    return caught[0]


class _Empty:
    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield b""

    def read(self, *_: Any) -> bytes:
        return b""


@pytest.mark.usefixtures("hostile")
def test_the_stacks_own_s3_gets_no_settings_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OWN.items():
        monkeypatch.setenv(name, value)
    client = s3.client()
    request = sent(client)
    assert request.url.startswith("http://127.0.0.1:7/bucket?")
    assert b"Credential=test/" in request.headers["Authorization"]
    assert "X-Amz-Security-Token" not in request.headers
    assert client.meta.region_name == "us-east-1"


@pytest.mark.usefixtures("hostile")
def test_a_broken_file_of_the_caller_does_not_matter_either(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".aws" / "config").write_text("[broken\n")
    for name, value in OWN.items():
        monkeypatch.setenv(name, value)
    assert s3.client().meta.endpoint_url == "http://127.0.0.1:7"


def test_another_s3_gets_the_callers_session_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds on this machine, too: an S3 is the stack's own because of its port, not because of its host."""
    for name, value in {**OWN, "CATWALK_PORT_S3": "8", "AWS_SESSION_TOKEN": "mine"}.items():
        monkeypatch.setenv(name, value)
    assert sent(s3.client()).headers["X-Amz-Security-Token"] == b"mine"


def test_another_s3_gets_the_callers_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile mine]\nregion = eu-west-3\nendpoint_url = http://127.0.0.1:9\n")
    (tmp_path / "keys").write_text("[mine]\naws_access_key_id = of-mine\naws_secret_access_key = secret\n")
    for name in (*ENVIRONMENT, "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    request = sent(s3.client())
    assert request.url.startswith("http://127.0.0.1:9/bucket?")
    assert b"Credential=of-mine/" in request.headers["Authorization"]
    assert b"/eu-west-3/s3/" in request.headers["Authorization"]


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({"AWS_REGION": "cn-north-1"}, "https://s3.cn-north-1.amazonaws.com.cn"),
        ({"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "us-west-2"}, "https://s3.eu-central-1.amazonaws.com"),
        ({"AWS_DEFAULT_REGION": "us-gov-west-1"}, "https://s3.us-gov-west-1.amazonaws.com"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "https://s3.amazonaws.com"),
    ],
)
def test_the_region_determines_the_endpoint_and_the_signature(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], endpoint: str
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**variables, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}.items():
        monkeypatch.setenv(name, value)
    store = S3Store("s3://bucket")
    assert store.endpoint == endpoint
    region = next((region for region in variables.values() if region), "us-east-1")
    assert f"/{region}/s3/".encode() in sent(store._client).headers["Authorization"]


@pytest.mark.parametrize(
    ("arn", "host"),
    [
        ("arn:aws:s3:eu-central-1:123456789012:accesspoint/runs", "runs-123456789012.s3-accesspoint.eu-central-1"),
        ("arn:aws:s3:eu-central-1:123456789012:accesspoint:runs", "runs-123456789012.s3-accesspoint.eu-central-1"),
        (
            "arn:aws:s3-outposts:eu-central-1:123456789012:outpost/op-1/accesspoint/runs",
            "runs-123456789012.op-1.s3-outposts.eu-central-1",
        ),
    ],
)
def test_an_access_point_can_be_the_store(monkeypatch: pytest.MonkeyPatch, arn: str, host: str) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    for name, value in {**ENVIRONMENT, "AWS_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(name, value)
    store = S3Store(f"s3://{arn}/catwalk/runs")
    assert (store.bucket, store.prefix) == (arn, "catwalk/runs/")
    request = sent(store._client, "head_object", Bucket=store.bucket, Key=store.prefix + "x")
    assert request.url == f"https://{host}.amazonaws.com/catwalk/runs/x"
    assert S3Store(f"s3://{arn}").prefix == ""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not valid JSON"),
        ("[]", "must be a JSON object"),
        ('{"Bucket": "other"}', "can't set 'Bucket'"),
        ('{"IfMatch": "x"}', "can't set 'IfMatch'"),
        ('{"SSECustomerKey": "x"}', "can't set 'SSECustomerKey'"),
        ('{"BucketKeyEnabled": "yes"}', "BucketKeyEnabled must be true or false"),
        ('{"StorageClass": 1}', "StorageClass must be text"),
    ],
)
def test_invalid_arguments_of_a_put_are_refused(monkeypatch: pytest.MonkeyPatch, text: str, complaint: str) -> None:
    monkeypatch.setenv(s3.PUT_VARIABLE, text)
    with pytest.raises(ConfigError, match=f"CATWALK_S3_PUT_ARGUMENTS.*{complaint}"):
        S3Store("s3://bucket")


def test_an_invalid_payer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(s3.PAYER_VARIABLE, "me")
    with pytest.raises(ConfigError, match="CATWALK_S3_REQUEST_PAYER must be requester"):
        S3Store("s3://bucket")


@pytest.mark.integration
class TestOnS3:
    def test_every_put_has_its_arguments_and_every_request_its_payer(
        self, s3_store: Store, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = BeforeS3(s3_server.port)
        try:
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", before.url)
            monkeypatch.setenv(s3.PUT_VARIABLE, '{"Tagging": "team=vision", "ServerSideEncryption": "AES256"}')
            monkeypatch.setenv(s3.PAYER_VARIABLE, "requester")
            before.edit = lambda asked, ask: ask()
            store = S3Store(s3_store.url)
            exercise(store)
        finally:
            before.stop()
        assert {asked.method for asked in before.seen} == {"GET", "PUT", "HEAD", "DELETE"}
        assert all(asked.headers["x-amz-request-payer"] == "requester" for asked in before.seen)
        puts = [asked.headers for asked in before.seen if asked.method == "PUT"]
        assert [(put["x-amz-tagging"], put["x-amz-server-side-encryption"]) for put in puts] == [
            ("team=vision", "AES256")
        ] * len(puts)

    def test_no_request_to_this_machine_reaches_the_proxy(
        self, s3_store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy = Proxy()
        try:
            monkeypatch.setenv("no_proxy", "")
            monkeypatch.setenv("NO_PROXY", "")
            for name, value in proxy.environment().items():
                monkeypatch.setenv(name, value)
            exercise(S3Store(s3_store.url))
        finally:
            proxy.stop()
        assert proxy.seen == []

    def test_a_proxy_that_lets_no_tunnel_through_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        proxy = Proxy()
        for name, value in {**ENVIRONMENT, **proxy.environment(), "NO_PROXY": "", "no_proxy": ""}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.example.com")
        store = S3Store("s3://b", patience=Patience(tries=1))
        try:
            with pytest.raises(
                StoreError, match=rf"{proxy.url} refuses a tunnel to S3 at .*\(403 Forbidden\); correct"
            ):
                store.check()
        finally:
            proxy.stop()
        with pytest.raises(StoreUnavailableError, match=rf"{proxy.url} does not answer; correct HTTP_PROXY or HTTPS"):
            store.check()

    def test_a_region_reaches_a_server_that_checks_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first request is right already: the server refuses none, so no request is signed again for the region
        in an error.
        """
        for name, value in {**ENVIRONMENT, "VGW_REGION": "garage", "AWS_REGION": "garage"}.items():
            monkeypatch.setenv(name, value)
        server = S3Server(tmp_path)
        server.start()
        answers: list[int] = []
        before = BeforeS3(server.port)

        def keep(asked: Asked, ask: Any) -> Any:
            answer = ask()
            answers.append(answer.status)
            return answer

        try:
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", before.url)
            s3.client().create_bucket(Bucket="garage", CreateBucketConfiguration={"LocationConstraint": "garage"})
            before.edit = keep
            S3Store("s3://garage").check()
        finally:
            before.stop()
            server.stop()
        assert answers == [200]


def exercise(store: Store) -> None:
    """Runs each operation at least once."""
    etag = store.put("x.json", b"1", create=True)
    store.put("x.json", b"2", if_match=etag)
    assert store.get("x.json").body == b"2"
    assert store.exists("x.json")
    assert [entry.key for entry in store.list("")] == ["x.json"]
    store.check()
    store.delete("x.json")
