"""S3 through boto3: whole objects, conditional writes, explicit retries, time-outs and checksums.

Conditional writes are what the run ledger and the champion pointer stand on: ``If-None-Match: *`` creates once,
``If-Match`` replaces only what was read.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from ml.errors import (
    ConfigError,
    DamagedError,
    NotFoundError,
    PreconditionFailedError,
    StoreError,
    StoreUnavailableError,
)
from ml.records import from_json, to_json

R = TypeVar("R")
OnOperation = Callable[[str, float, bool], None]
"""Called after each request with its operation, seconds and whether it failed."""

_CONTENT_TYPES = {"json": "application/json", "html": "text/html; charset=utf-8", "png": "image/png"}
_CONFLICT_TRIES = 8
_TORN_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.0)
"""Seconds between reads of an object that seems to change; then it is taken as it is, for its ETag may be no MD5."""
_DENIED = {
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "XAdminUserNotFound",  # versitygw's word for an unknown key, with status 404
}


@dataclass(frozen=True)
class Stored:
    """An object as it was read."""

    body: bytes
    etag: str


@dataclass(frozen=True)
class Entry:
    """An object as a listing shows it."""

    key: str
    etag: str
    size: int


def _torn(stored: Stored, answer: Mapping[str, Any]) -> bool:
    """Whether the ETag is an MD5, but not that of the body.

    versitygw with its attributes in a side folder answers so while the object is being replaced: body and ETag belong
    to two versions. A compare-and-swap on such an answer would lose the version in between.
    """
    if answer.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in answer:
        return False  # there an ETag is no MD5
    etag = stored.etag.strip('"')
    if not re.fullmatch("[0-9a-f]{32}", etag):
        return False
    return hashlib.md5(stored.body, usedforsecurity=False).hexdigest() != etag


def _ignore(operation: str, seconds: float, failed: bool) -> None:
    pass


@dataclass
class Store:
    """The folder ``s3://bucket[/prefix]``. Keys are relative to the prefix. Safe to share between threads."""

    url: str
    on_operation: OnOperation = field(default=_ignore, repr=False)
    connect_seconds: float = 5
    read_seconds: float = 30
    tries: int = 4
    """Requests that time out or meet a fault of the server are tried so often in all."""

    def __post_init__(self) -> None:
        match = re.fullmatch(r"s3://([^/]+)(?:/(.*?))?/*", self.url)
        if not match:
            raise ConfigError(f"CATWALK_STORE must look like s3://bucket or s3://bucket/prefix, not {self.url!r}")
        self.bucket = match[1]
        self.prefix = f"{match[2]}/" if match[2] else ""

    @classmethod
    def from_environment(cls, on_operation: OnOperation = _ignore) -> Store:
        """Where `CATWALK_STORE` points; endpoint and credentials are boto3's own environment variables.

        Raises:
            ConfigError: the variable is unset or malformed.
        """
        url = os.environ.get("CATWALK_STORE", "")
        if not url:
            raise ConfigError("CATWALK_STORE is not set; give it the place where runs live, such as s3://bucket/prefix")
        return cls(url, on_operation)

    @cached_property
    def _client(self) -> Any:
        config = Config(
            connect_timeout=self.connect_seconds,
            read_timeout=self.read_seconds,
            retries={"mode": "standard", "total_max_attempts": self.tries},
            max_pool_connections=16,
            # boto3's newer default sends trailing checksums, which some S3 servers refuse; sha256 in the ledger guards
            # what matters.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            return boto3.session.Session().client("s3", config=config)
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(f"the S3 client can't be set up: {error}") from error

    @property
    def endpoint(self) -> str:
        """Where requests go, for messages."""
        return str(self._client.meta.endpoint_url)

    def get(self, key: str) -> Stored:
        """Reads a whole object.

        Raises:
            NotFoundError: there is none.
            StoreError: any other failure; every method of this class raises it.
        """

        def request() -> tuple[Stored, bool]:
            answer = self._client.get_object(Bucket=self.bucket, Key=self.prefix + key)
            stored = Stored(answer["Body"].read(), answer["ETag"])
            return stored, _torn(stored, answer)

        for pause in _TORN_PAUSES:
            stored, torn = self._call("get", key, request)
            if not torn:
                break
            time.sleep(pause)
        return stored

    def put(self, key: str, body: bytes, *, if_match: str | None = None, create: bool = False) -> str:
        """Writes a whole object and returns its ETag.

        Args:
            key: where to.
            body: the content.
            if_match: replace only the object with this ETag.
            create: write only where no object is.

        Raises:
            PreconditionFailedError: `if_match` or `create` did not hold. Not raised where the very same bytes are
                there already: a PUT that was retried can meet its own first try. So a body that must win against
                others has to differ from theirs.
        """
        conditions = {"IfMatch": if_match} if if_match else {"IfNoneMatch": "*"} if create else {}
        for attempt in range(_CONFLICT_TRIES):
            try:
                return self._call("put", key, lambda: str(self._put(key, body, conditions)["ETag"]))
            except _ConflictError:
                time.sleep(random.uniform(0, 0.05 * 2**attempt))
            except PreconditionFailedError:
                found = self.find(key)
                if found and found.body == body:
                    return found.etag
                raise
        raise StoreUnavailableError(
            f"s3://{self.bucket}/{self.prefix}{key} stayed busy over {_CONFLICT_TRIES} tries; try again"
        )

    def _put(self, key: str, body: bytes, conditions: Mapping[str, str]) -> Any:
        content_type = _CONTENT_TYPES.get(key.rpartition(".")[2], "application/octet-stream")
        return self._client.put_object(
            Bucket=self.bucket, Key=self.prefix + key, Body=body, ContentType=content_type, **conditions
        )

    def find(self, key: str) -> Stored | None:
        """Like :meth:`get`, but None where there is no object."""
        try:
            return self.get(key)
        except NotFoundError:
            return None

    def etag(self, key: str) -> str | None:
        """The ETag of an object, or None where there is none."""
        try:
            answer = self._call(
                "head", key, lambda: self._client.head_object(Bucket=self.bucket, Key=self.prefix + key)
            )
        except NotFoundError:
            return None
        return str(answer["ETag"])

    def exists(self, key: str) -> bool:
        """Whether an object has this key."""
        return self.etag(key) is not None

    def delete(self, key: str) -> None:
        """Removes an object; none there is no error."""
        self._call("delete", key, lambda: self._client.delete_object(Bucket=self.bucket, Key=self.prefix + key))

    def list(self, prefix: str) -> Iterator[Entry]:
        """The objects below a prefix, in key order, a page of 1,000 a request."""
        token: dict[str, str] = {}
        while True:
            page = self._call(
                "list",
                prefix,
                lambda: self._client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix + prefix, **token),  # noqa: B023
            )
            for item in page.get("Contents", []):
                yield Entry(item["Key"][len(self.prefix) :], item["ETag"], item["Size"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def get_record(self, kind: type[R], key: str) -> tuple[R, str]:
        """Reads a record of :mod:`ml.records` and its ETag.

        Raises:
            DamagedError: the object is not such a record.
        """
        stored = self.get(key)
        try:
            return from_json(kind, stored.body), stored.etag
        except ValueError as error:
            raise DamagedError(f"s3://{self.bucket}/{self.prefix}{key} is damaged: {error}") from error

    def find_record(self, kind: type[R], key: str) -> tuple[R, str] | None:
        """Like :meth:`get_record`, but None where there is no object."""
        try:
            return self.get_record(kind, key)
        except NotFoundError:
            return None

    def put_record(self, key: str, record: object, *, if_match: str | None = None, create: bool = False) -> str:
        """Writes a record of :mod:`ml.records`; see :meth:`put`."""
        return self.put(key, to_json(record), if_match=if_match, create=create)

    def check(self) -> None:
        """One cheap request that proves endpoint, credentials and bucket.

        Raises:
            StoreError: what is wrong, and what to do.
        """
        self._call("list", "", lambda: self._client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1))

    def _call(self, operation: str, key: str, request: Callable[[], R]) -> R:
        started = time.perf_counter()
        failed = True
        try:
            answer = request()
            failed = False
            return answer
        except ClientError as error:
            translated = self._translate(error, key)
            failed = not isinstance(translated, NotFoundError | PreconditionFailedError | _ConflictError)
            raise translated from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise StoreError("no S3 credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from error
        except (BotoConnectionError, HTTPClientError) as error:
            raise StoreUnavailableError(
                f"S3 at {self.endpoint} does not answer ({type(error).__name__}); is it running, and is "
                "AWS_ENDPOINT_URL_S3 right?"
            ) from error
        except BotoCoreError as error:
            raise StoreError(f"S3 request failed: {' '.join(str(error).split())}") from error
        finally:
            self.on_operation(operation, time.perf_counter() - started, failed)

    def _translate(self, error: ClientError, key: str) -> StoreError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        where = f"s3://{self.bucket}/{self.prefix}{key}"
        if code == "NoSuchBucket":
            return StoreError(
                f"bucket {self.bucket!r} does not exist at {self.endpoint}; create it or change CATWALK_STORE"
            )
        if code in _DENIED or status == 403:
            return StoreError(
                f"S3 at {self.endpoint} refused the credentials ({code}); check AWS_ACCESS_KEY_ID, "
                f"AWS_SECRET_ACCESS_KEY and their rights on {where}"
            )
        if status == 404:
            return NotFoundError(f"{where} does not exist")
        if status == 412:
            return PreconditionFailedError(f"{where} was changed by somebody else")
        if status == 409:
            return _ConflictError(where)
        if status >= 500 or status == 429:
            message = str(error.response.get("Error", {}).get("Message", ""))
            return StoreUnavailableError(
                f"S3 at {self.endpoint} failed on {where}: {code} {message} (HTTP {status}); is its disk full?"
            )
        return StoreError(f"S3 request on {where} failed: {' '.join(str(error).split())}")


class _ConflictError(StoreError):
    """409: another conditional write was under way; read again and retry."""
