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

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError

from catwalk.codec import from_json, to_json
from catwalk.errors import (
    ConfigError,
    DamagedError,
    NotFoundError,
    PreconditionFailedError,
    StoreError,
    StoreUnavailableError,
)
from catwalk.storage import s3, s3_errors
from catwalk.storage.s3_errors import ConflictError

R = TypeVar("R")
OnOperation = Callable[[str, float, bool], None]
"""Called after each request with its operation, seconds and whether it failed."""

_CONTENT_TYPES = {"json": "application/json", "html": "text/html; charset=utf-8", "png": "image/png"}
_CONFLICT_TRIES = 8
_TORN_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.0)
"""Seconds between reads of an object that seems to change; then it is taken as it is, for its ETag may be no MD5."""
_CUT = (HTTPClientError, IncompleteReadError)
"""What reading a body raises when the connection breaks off."""
_CUT_PAUSE = 0.5
_LOCATION = re.compile(r"s3://(arn:.+?[:/]accesspoint[:/][^/:]+|[\w.-]{1,255})(?:/(.*))?", re.DOTALL | re.ASCII)


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


def location(url: str) -> tuple[str, str]:
    """Bucket (or the ARN of an access point) and prefix of a store; the prefix ends in ``/`` unless it is empty.

    Raises:
        ConfigError: it is no store's URL, or S3 and what stands before it could understand its prefix differently.
    """
    match = _LOCATION.fullmatch(url)
    if not match:
        raise ConfigError(f"CATWALK_STORE must look like s3://bucket or s3://bucket/prefix, not {url!r}")
    prefix = (match[2] or "").rstrip("/")
    if prefix and {"", ".", ".."} & set(prefix.split("/")):
        raise ConfigError(f"CATWALK_STORE has an empty, '.' or '..' segment in its prefix: {url!r}; leave that out")
    return match[1], f"{prefix}/" if prefix else ""


def _is_md5(stored: Stored) -> bool | None:
    """Whether an ETag is the MD5 of the body; None where it does not even look like one."""
    etag = stored.etag.strip('"')
    if not re.fullmatch("[0-9a-f]{32}", etag):
        return None
    return hashlib.md5(stored.body, usedforsecurity=False).hexdigest() == etag


def _encrypted(answer: Mapping[str, Any]) -> bool:
    """Whether the server says that its ETag is no MD5."""
    return answer.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in answer


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
        self.bucket, self.prefix = location(self.url)
        self._put_arguments, self._payer = s3.put_arguments(), s3.payer()
        self._md5_etags: bool | None = None
        """Whether ETags here are MD5s; None until an object has shown it."""

    @classmethod
    def from_environment(cls, on_operation: OnOperation = _ignore) -> Store:
        """Where `CATWALK_STORE` points; endpoint and credentials are boto3's own environment variables, see
        :mod:`catwalk.storage.s3`.

        Raises:
            ConfigError: a variable is unset or malformed.
        """
        url = os.environ.get("CATWALK_STORE", "")
        if not url:
            raise ConfigError("CATWALK_STORE is not set; give it the place where runs live, such as s3://bucket/prefix")
        return cls(url, on_operation)

    @cached_property
    def _client(self) -> Any:
        return s3.client(connect_seconds=self.connect_seconds, read_seconds=self.read_seconds, tries=self.tries)

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
        for pause in _TORN_PAUSES:
            stored, torn = self._call("get", key, lambda: self._read(key, self.tries))
            if not torn:
                return stored
            time.sleep(pause)
        if self._md5_etags is None:
            self._md5_etags = False
        return stored

    def _read(self, key: str, tries: int) -> tuple[Stored, bool]:
        """An object, and whether it may be torn. A body that breaks off is asked for again: boto3 tries requests again,
        but hands out the body before it is there."""
        answer = self._client.get_object(Bucket=self.bucket, Key=self.prefix + key, **self._payer)
        try:
            stored = Stored(answer["Body"].read(), self._etag(answer))
        except _CUT:
            if tries <= 1:
                raise
            time.sleep(random.uniform(0, _CUT_PAUSE))
            return self._read(key, tries - 1)
        return stored, self._torn(stored, answer)

    def _torn(self, stored: Stored, answer: Mapping[str, Any]) -> bool:
        """Whether body and ETag seem to belong to two versions.

        versitygw with its attributes in a side folder answers so while the object is being replaced. A
        compare-and-swap on such an answer would lose the version in between. Where ETags look like MD5s and are none,
        the first object shows it, and nothing is read again for that.
        """
        if _encrypted(answer):
            return False
        matches = _is_md5(stored)
        if matches and self._md5_etags is None:
            self._md5_etags = True
        return matches is False and self._md5_etags is not False

    def _etag(self, answer: Mapping[str, Any]) -> str:
        if not answer.get("ETag"):
            raise StoreError(f"{s3_errors.no_s3(self.endpoint)}: its answer has no ETag; correct AWS_ENDPOINT_URL_S3")
        return str(answer["ETag"])

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
                return self._call("put", key, lambda: self._written(key, body, conditions))
            except ConflictError:
                time.sleep(random.uniform(0, 0.05 * 2**attempt))
            except PreconditionFailedError:
                found = self.find(key)
                if found and found.body == body:
                    return found.etag
                raise
            except NotFoundError as error:
                if not if_match:
                    raise
                raise PreconditionFailedError(f"{self._where(key)} was deleted by somebody else") from error
        raise StoreUnavailableError(f"{self._where(key)} stayed busy over {_CONFLICT_TRIES} tries; try again")

    def _written(self, key: str, body: bytes, conditions: Mapping[str, str]) -> str:
        """The new object's ETag, which no other writer can have torn: it shows whether ETags here are MD5s."""
        etag = self._etag(self._put(key, body, conditions))
        matches = _is_md5(Stored(body, etag))
        self._md5_etags = self._md5_etags if matches is None else matches
        return etag

    def _put(self, key: str, body: bytes, conditions: Mapping[str, str]) -> Any:
        content_type = _CONTENT_TYPES.get(key.rpartition(".")[2], "application/octet-stream")
        told = {"ContentType": content_type, **self._put_arguments, **self._payer, **conditions}
        return self._client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=body, **told)

    def find(self, key: str) -> Stored | None:
        """Like :meth:`get`, but None where there is no object."""
        try:
            return self.get(key)
        except NotFoundError:
            return None

    def etag(self, key: str) -> str | None:
        """The ETag of an object, or None where there is none."""
        there = {"Bucket": self.bucket, "Key": self.prefix + key, **self._payer}
        try:
            return self._call("head", key, lambda: self._etag(self._client.head_object(**there)))
        except NotFoundError:
            return None

    def exists(self, key: str) -> bool:
        """Whether an object has this key."""
        return self.etag(key) is not None

    def delete(self, key: str) -> None:
        """Removes an object; none there is no error."""
        there = {"Bucket": self.bucket, "Key": self.prefix + key, **self._payer}
        self._call("delete", key, lambda: self._deleted(there))

    def _deleted(self, there: Mapping[str, str]) -> None:
        headers = self._client.delete_object(**there)["ResponseMetadata"]["HTTPHeaders"]
        if headers.get("content-type", "").startswith("text/html"):
            raise StoreError(f"{s3_errors.no_s3(self.endpoint)}: it sends a web page; correct AWS_ENDPOINT_URL_S3")

    def list(self, prefix: str) -> Iterator[Entry]:
        """The objects below a prefix, in key order, a page of 1,000 a request."""
        token: dict[str, str] = {}
        seen = {("token", "")}
        while True:
            page = self._call("list", prefix, lambda: self._page(prefix, **token))  # noqa: B023
            found = page.get("Contents", [])
            for item in found:
                yield Entry(item["Key"][len(self.prefix) :], self._etag(item), item["Size"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page.get("NextContinuationToken", "")}
            marks = {("token", token["ContinuationToken"]), *(("first key", item["Key"]) for item in found[:1])}
            if marks & seen:  # who knows no continuation sends the first page for ever
                raise StoreError(f"{s3_errors.no_s3(self.endpoint)}: its listing of {self._where(prefix)} has no end")
            seen |= marks

    def _page(self, prefix: str, **arguments: Any) -> Any:
        below = self.prefix + prefix
        page = self._client.list_objects_v2(Bucket=self.bucket, Prefix=below, **self._payer, **arguments)
        strays = [item for item in page.get("Contents", []) if not item.get("Key", "").startswith(below)]
        if strays or not {"Name", "IsTruncated", "KeyCount"} & page.keys():
            raise StoreError(f"{s3_errors.no_s3(self.endpoint)}: its answer is no listing; correct AWS_ENDPOINT_URL_S3")
        return page

    def get_record(self, kind: type[R], key: str) -> tuple[R, str]:
        """Reads a record, which :mod:`catwalk.codec` decodes, and its ETag.

        Raises:
            DamagedError: the object is not such a record.
        """
        stored = self.get(key)
        try:
            return from_json(kind, stored.body), stored.etag
        except ValueError as error:
            raise DamagedError(f"{self._where(key)} is damaged: {error}") from error

    def find_record(self, kind: type[R], key: str) -> tuple[R, str] | None:
        """Like :meth:`get_record`, but None where there is no object."""
        try:
            return self.get_record(kind, key)
        except NotFoundError:
            return None

    def put_record(self, key: str, record: object, *, if_match: str | None = None, create: bool = False) -> str:
        """Writes a record as JSON; see :meth:`put`."""
        return self.put(key, to_json(record), if_match=if_match, create=create)

    def check(self) -> None:
        """One cheap request that proves endpoint, credentials and bucket.

        Raises:
            StoreError: what is wrong, and what to do.
        """
        self._call("list", "", lambda: self._page("", MaxKeys=1))

    def _where(self, key: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def _call(self, operation: str, key: str, request: Callable[[], R]) -> R:
        started = time.perf_counter()
        failed = True
        try:
            answer = request()
            failed = False
            return answer
        except ClientError as error:
            refused = s3_errors.refused(error, self.endpoint, self.bucket, self._where(key), operation != "head")
            failed = not isinstance(refused, NotFoundError | PreconditionFailedError | ConflictError)
            raise refused from error
        except BotoCoreError as error:
            raise s3_errors.unanswered(error, self.endpoint) from error
        finally:
            self.on_operation(operation, time.perf_counter() - started, failed)
