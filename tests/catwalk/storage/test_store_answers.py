"""What S3, or a server in front of it, can answer: a web page, a body that breaks off, and errors by their code."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from catwalk.errors import ConfigError, NotFoundError, StoreError, StoreUnavailableError
from catwalk.storage.s3_store import S3Store, location
from catwalk.storage.store import Patience, Store
from tests.support.between import Answer, Asked, BeforeS3, Proxy
from tests.support.servers import S3Server, StatsdExporter

Ask = Callable[[], Answer]
OPERATIONS: dict[str, Callable[[Store], object]] = {
    "list": lambda store: list(store.list("")),
    "check": lambda store: store.check(),
    "get": lambda store: store.get("x"),
    "put": lambda store: store.put("x", b"1"),
    "create": lambda store: store.put("y", b"1", create=True),
    "head": lambda store: store.exists("x"),
    "delete": lambda store: store.delete("x"),
}


@pytest.fixture
def before(s3_store: Store, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[BeforeS3]:
    """A proxy in front of the test's S3; the store holds one object."""
    before = BeforeS3(s3_server.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", before.url)
    s3_store.put("x", b"1")
    before.seen.clear()
    yield before
    before.stop()


@pytest.fixture(params=OPERATIONS)
def operation(request: pytest.FixtureRequest) -> Callable[[Store], object]:
    return OPERATIONS[request.param]


def error(status: int, code: str, message: str = "because") -> Answer:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})


def only_for(method: str, answer: Answer) -> Callable[[Asked, Ask], Answer]:
    return lambda asked, ask: answer if asked.method == method else ask()


@pytest.mark.integration
class TestNoS3:
    @pytest.mark.parametrize(
        "page",
        [
            Answer(200, b"<html><body>Sign in</body></html>", {"Content-Type": "text/html"}),
            Answer(200, b"<!DOCTYPE html><br>Sign in", {"Content-Type": "text/html; charset=utf-8"}),
            Answer(302, b"", {"Location": "http://127.0.0.1:1/login"}),
            Answer(404, b"<html><body>nothing here</body></html>", {"Content-Type": "text/html"}),
            Answer(401, b"who are you?"),
        ],
        ids=["page", "untidy-page", "redirection", "nothing-here", "login"],
    )
    def test_a_web_server_is_recognised(
        self, s3_store: Store, before: BeforeS3, operation: Callable[[Store], object], page: Answer
    ) -> None:
        if page.status == 404 and operation is OPERATIONS["head"]:
            pytest.skip("an answer to HEAD has no content by which to recognise it")
        before.edit = lambda asked, ask: page
        with pytest.raises(StoreError) as caught:
            operation(S3Store(s3_store.url, patience=Patience(tries=1)))
        assert not isinstance(caught.value, NotFoundError)
        if page.status != 401 or operation is not OPERATIONS["head"]:
            assert "is not S3" in str(caught.value)
            assert "correct AWS_ENDPOINT_URL_S3" in str(caught.value)
        assert len(before.seen) <= 4

    def test_a_store_that_leaves_the_etag_out_is_one_line(self, s3_store: Store, before: BeforeS3) -> None:
        def without_etag(asked: Asked, ask: Ask) -> Answer:
            answer = ask()
            return replace(answer, headers={k: v for k, v in answer.headers.items() if k.lower() != "etag"})

        before.edit = without_etag
        for name in ("get", "put", "head"):
            with pytest.raises(StoreError, match="is not S3: its response has no ETag"):
                OPERATIONS[name](s3_store)

    def test_a_listing_of_something_else_is_one_line(self, s3_store: Store, before: BeforeS3) -> None:
        before.edit = lambda asked, ask: Answer(
            200, b"<ListBucketResult><Name>b</Name><Contents><Key>elsewhere</Key></Contents></ListBucketResult>"
        )
        with pytest.raises(StoreError, match="its response is not a listing"):
            list(s3_store.list(""))

    def test_a_server_that_begins_every_listing_with_the_first_key_gives_the_same(
        self, s3_store: Store, before: BeforeS3
    ) -> None:
        s3_store.put("y", b"2")
        answers: list[Answer] = []
        before.edit = lambda asked, ask: answers.append(ask()) or answers[0]
        assert [entry.key for entry in s3_store.list("")] == ["x", "y"]
        assert [entry.key for entry in s3_store.list("", "x")] == ["y"]
        assert "start-after" in before.seen[-1].path

    def test_another_server_of_the_stack_is_recognised(
        self, s3_store: Store, operation: Callable[[Store], object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if operation is OPERATIONS["head"]:
            pytest.skip("an answer to HEAD has no content by which to recognise it")
        exporter = StatsdExporter()
        try:
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{exporter.web_port}")
            with pytest.raises(StoreError, match=r"is not S3.*correct AWS_ENDPOINT_URL_S3"):
                operation(S3Store(s3_store.url, patience=Patience(tries=1)))
        finally:
            exporter.stop()


@pytest.mark.integration
class TestBodies:
    def test_a_body_that_breaks_off_once_is_read_again(self, s3_store: Store, before: BeforeS3) -> None:
        body = bytes(range(256)) * 4_000
        s3_store.put("x", body)
        cuts = iter([300_000, 0, 700_000])

        def cut(asked: Asked, ask: Ask) -> Answer:
            answer = ask()
            return replace(answer, cut=next(cuts, None)) if asked.method == "GET" else answer

        before.edit = cut
        assert s3_store.get("x").body == body
        assert next(cuts, None) is None

    def test_a_body_that_always_breaks_off_is_temporary_and_has_the_usual_number_of_tries(
        self, s3_store: Store, before: BeforeS3
    ) -> None:
        before.edit = lambda asked, ask: replace(ask(), cut=0)
        with pytest.raises(StoreUnavailableError, match="does not answer"):
            s3_store.get("x")
        assert len(before.seen) == s3_store.patience.tries

    def test_etags_that_only_look_like_md5_cost_nothing_once_recognised(
        self, s3_store: Store, before: BeforeS3
    ) -> None:
        def other(asked: Asked, ask: Ask) -> Answer:
            answer = ask()
            return replace(
                answer,
                headers={
                    name: f'"{value.strip(chr(34))[::-1]}"' if name.lower() == "etag" else value
                    for name, value in answer.headers.items()
                },
            )

        before.edit = other
        s3_store.put("x", b"1")
        before.seen.clear()
        assert [s3_store.get("x").body for _ in range(3)] == [b"1"] * 3, "a PUT shows it"
        assert len(before.seen) == 3
        reader = S3Store(s3_store.url)
        assert [reader.get("x").body for _ in range(3)] == [b"1"] * 3
        assert len(before.seen) == 3 + 5 + 2, "a reader finds out with the first object"

    def test_an_object_that_is_torn_is_read_again(self, s3_store: Store, before: BeforeS3) -> None:
        """If ETags are MD5s, as the first object has shown, an ETag that doesn't match belongs to another version."""
        s3_store.get("x")
        torn = iter([b"2", b"3"])

        def tear(asked: Asked, ask: Ask) -> Answer:
            answer = ask()
            return replace(answer, body=next(torn, answer.body))

        before.edit = tear
        assert s3_store.get("x").body == b"1"


ADVICE = [
    (403, "RequestTimeTooSkewed", "clock", False),
    (400, "ExpiredToken", "AWS_SESSION_TOKEN", False),
    (403, "InvalidToken", "AWS_SESSION_TOKEN", False),
    (403, "InvalidAccessKeyId", "refused the credentials.*AWS_ACCESS_KEY_ID", False),
    (403, "AccessDenied", "policy", False),
    (403, "InvalidObjectState", "archive", False),
    (400, "AuthorizationHeaderMalformed", "AWS_REGION", False),
    (429, "TooManyRequests", "too many requests", True),
    (503, "SlowDown", "too many requests", True),
    (501, "NotImplemented", "versitygw from 1.8.0", False),
    (400, "RequestTimeout", "interrupted; retry", True),
    (500, "InternalError", "is its disk full", True),
    (507, "XMinioStorageFull", "is its disk full", True),
    (405, "MethodNotAllowed", "MethodNotAllowed: because", False),
]


@pytest.mark.integration
@pytest.mark.parametrize(("status", "code", "advice", "may_pass"), ADVICE, ids=[code for _, code, *_ in ADVICE])
def test_an_error_shows_the_servers_words_and_what_to_do(
    s3_store: Store, before: BeforeS3, status: int, code: str, advice: str, may_pass: bool
) -> None:
    before.edit = only_for("PUT", error(status, code))
    store = S3Store(s3_store.url, patience=Patience(tries=1))
    with pytest.raises(StoreError, match=advice) as caught:
        store.put("x", b"2")
    assert f"{code}: because" in str(caught.value)
    assert isinstance(caught.value, StoreUnavailableError) == may_pass
    assert "\n" not in str(caught.value)


@pytest.mark.integration
def test_a_request_that_timed_out_at_the_server_is_tried_again(s3_store: Store, before: BeforeS3) -> None:
    answers = iter([error(400, "RequestTimeout")])
    before.edit = lambda asked, ask: next(answers, None) or ask()
    s3_store.put("x", b"2")
    assert s3_store.get("x").body == b"2"


def test_a_proxys_refusal_names_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy()
    try:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "")
        for name, value in {
            **proxy.environment(),
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "y",
            "AWS_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        for endpoint in ("http://s3.example.com", "https://s3.example.com"):
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
            for name in OPERATIONS:
                with pytest.raises(StoreError, match=f"the proxy {proxy.url}"):
                    OPERATIONS[name](S3Store("s3://bucket", patience=Patience(tries=1)))
        assert {asked.method for asked in proxy.seen} == {"GET", "PUT", "HEAD", "DELETE", "CONNECT"}
    finally:
        proxy.stop()


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[str]:
    """The URL of a server with a self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "both.pem").write_bytes(secret + certificate.public_bytes(encoding))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"https://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_certificate_that_is_not_trusted_is_named(monkeypatch: pytest.MonkeyPatch, tls_server: str) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", tls_server)
    with pytest.raises(StoreError, match=r"can't trust the TLS connection.*certificate.*AWS_CA_BUNDLE") as caught:
        S3Store("s3://bucket", patience=Patience(tries=1)).check()
    assert not isinstance(caught.value, StoreUnavailableError)
    plain = BeforeS3(0, lambda asked, ask: Answer(200))
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", plain.url.replace("http:", "https:"))
        with pytest.raises(StoreError, match=r"can't trust the TLS connection.*http, not https\?"):
            S3Store("s3://bucket", patience=Patience(tries=1)).check()
    finally:
        plain.stop()


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://bucket/a/b/", ("bucket", "a/b/")),
        ("s3://bucket/a b", ("bucket", "a b/")),
        ("s3://bucket/..a/.b", ("bucket", "..a/.b/")),
    ],
)
def test_a_stores_url_is_bucket_and_prefix(url: str, found: tuple[str, str]) -> None:
    assert location(url) == found


@pytest.mark.parametrize("url", ["s3://b//x", "s3://b/x//y", "s3://b/./x", "s3://b/x/..", "s3://b/../b/x"])
def test_a_prefix_that_a_server_may_normalise_is_refused(url: str) -> None:
    """Some servers collapse such names when they write, and find nothing under them when they list."""
    with pytest.raises(ConfigError, match=r"CATWALK_STORE has an empty, '\.' or '\.\.' segment"):
        S3Store(url)


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///x", "file:///x", "s3://a b", "s3://key:secret@bucket/x", "s3://bücket"]
)
def test_an_address_without_a_bucket_is_refused_by_its_variable(url: str) -> None:
    with pytest.raises(ConfigError, match="CATWALK_STORE must look like s3://bucket"):
        S3Store(url)
