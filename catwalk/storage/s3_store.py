"""S3 through boto3: whole objects, conditional writes, explicit retries, timeouts and checksums.

The conditions are ``If-None-Match: *``, which creates once, and ``If-Match``, which replaces only the version that was
read.
"""

from __future__ import annotations

import hashlib
import io
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError

from catwalk.errors import ConfigError, NotFoundError, PreconditionFailedError, StoreError, StoreUnavailableError
from catwalk.storage import s3, s3_errors
from catwalk.storage.s3_errors import ConflictError
from catwalk.storage.store import Entry, Store

R = TypeVar("R")
_CONTENT_TYPES = {"json": "application/json", "html": "text/html; charset=utf-8", "png": "image/png"}
_CONFLICT_TRIES = 8
_TORN_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.0)
"""Seconds between reads of an object that seems to change; then it is accepted, because its ETag may not be an MD5."""
_CUT = (HTTPClientError, IncompleteReadError)
"""Errors of reading a body when the connection is interrupted."""
_CUT_PAUSE = 0.5
_CHUNK = 2**20
_LOCATION = re.compile(r"s3://(arn:.+?[:/]accesspoint[:/][^/:]+|[\w.-]{1,255})(?:/(.*))?", re.DOTALL | re.ASCII)


def location(url: str) -> tuple[str, str]:
    """The bucket (or the ARN of an access point) and prefix of a store; the prefix ends in ``/`` unless it is empty.

    Raises:
        ConfigError: It is not a store's URL, or S3 and a proxy in front of it could interpret its prefix differently.
    """
    match = _LOCATION.fullmatch(url)
    if not match:
        raise ConfigError(f"CATWALK_STORE must look like s3://bucket or s3://bucket/prefix, not {url!r}")
    prefix = (match[2] or "").rstrip("/")
    if prefix and {"", ".", ".."} & set(prefix.split("/")):
        raise ConfigError(f"CATWALK_STORE has an empty, '.' or '..' segment in its prefix: {url!r}; remove it")
    return match[1], f"{prefix}/" if prefix else ""


def _is_md5(etag: str, body: BinaryIO) -> bool | None:
    """Whether an ETag is the MD5 of the body; None if it doesn't even look like one."""
    if not re.fullmatch('"?[0-9a-f]{32}"?', etag):
        return None
    body.seek(0)
    found = hashlib.file_digest(body, lambda: hashlib.md5(usedforsecurity=False))  # type: ignore[arg-type]
    return found.hexdigest() == etag.strip('"')


def _encrypted(answer: Mapping[str, Any]) -> bool:
    """Whether the response shows that its ETag is not an MD5."""
    return answer.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in answer


@dataclass
class S3Store(Store):
    """The folder ``s3://bucket[/prefix]``. Keys are relative to the prefix. Endpoint and credentials are boto3's own
    environment variables, see :mod:`catwalk.storage.s3`."""

    answers: ClassVar[tuple[type[Exception], ...]] = (*Store.answers, ConflictError)

    def __post_init__(self) -> None:
        self.bucket, self.prefix = location(self.url)
        self._put_arguments, self._payer = s3.put_arguments(), s3.payer()
        self._md5_etags: bool | None = None
        """Whether ETags here are MD5s; None until an object has shown it."""

    @cached_property
    def _client(self) -> Any:
        return s3.client(**vars(self.patience))

    @property
    def endpoint(self) -> str:
        """The URL that requests go to, for messages."""
        return str(self._client.meta.endpoint_url)

    @property
    def place(self) -> str:
        return f"{self.url} at {self.endpoint}"

    def _fetch(self, key: str, sink: BinaryIO) -> str:
        for pause in _TORN_PAUSES:
            etag, torn = self._call("get", key, lambda: self._read(key, sink, self.patience.tries))
            if not torn:
                return etag
            time.sleep(pause)
        if self._md5_etags is None:
            self._md5_etags = False
        return etag

    def _read(self, key: str, sink: BinaryIO, tries: int) -> tuple[str, bool]:
        """The ETag, and whether body and ETag may belong to different versions.

        It retries an interrupted body: boto3 retries requests, but returns the body before it has arrived.
        """
        answer = self._client.get_object(Bucket=self.bucket, Key=self.prefix + key, **self._payer)
        sink.seek(0)
        sink.truncate()
        try:
            shutil.copyfileobj(answer["Body"], sink, _CHUNK)
        except _CUT:
            if tries <= 1:
                raise
            time.sleep(random.uniform(0, _CUT_PAUSE))
            return self._read(key, sink, tries - 1)
        etag = self._etag(answer)
        return etag, self._torn(etag, sink, answer)

    def _torn(self, etag: str, body: BinaryIO, answer: Mapping[str, Any]) -> bool:
        """Whether body and ETag seem to belong to different versions.

        versitygw with its attributes in a sidecar folder answers like this while the object is being replaced. A
        compare-and-swap on such a response would lose the version in between. If ETags look like MD5s but aren't, the
        first object shows it, and nothing is read again for this reason.
        """
        if _encrypted(answer):
            return False
        matches = _is_md5(etag, body)
        if matches and self._md5_etags is None:
            self._md5_etags = True
        return matches is False and self._md5_etags is not False

    def _etag(self, answer: Mapping[str, Any]) -> str:
        if not answer.get("ETag"):
            raise StoreError(f"{s3_errors.no_s3(self.endpoint)}: its response has no ETag; correct AWS_ENDPOINT_URL_S3")
        return str(answer["ETag"])

    def put(self, key: str, body: bytes, *, if_match: str | None = None, create: bool = False) -> str:
        conditions = {"IfMatch": if_match} if if_match else {"IfNoneMatch": "*"} if create else {}
        for attempt in range(_CONFLICT_TRIES):
            try:
                return self._call("put", key, lambda: self._written(key, io.BytesIO(body), conditions))
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
                raise PreconditionFailedError(f"{self.where(key)} was deleted by another writer") from error
        raise StoreUnavailableError(f"{self.where(key)} was busy in {_CONFLICT_TRIES} attempts; retry")

    def put_file(self, key: str, source: Path) -> str:
        with source.open("rb") as body:
            return self._call("put", key, lambda: self._written(key, body, {}))

    def _written(self, key: str, body: BinaryIO, conditions: Mapping[str, str]) -> str:
        """Writes the object; returns its ETag, which no other writer can have changed, so it shows whether ETags are
        MD5s.
        """
        etag = self._etag(self._put(key, body, conditions))
        matches = _is_md5(etag, body)
        self._md5_etags = self._md5_etags if matches is None else matches
        return etag

    def _put(self, key: str, body: BinaryIO, conditions: Mapping[str, str]) -> Any:
        content_type = _CONTENT_TYPES.get(key.rpartition(".")[2], "application/octet-stream")
        arguments = {"ContentType": content_type, **self._put_arguments, **self._payer, **conditions}
        return self._client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=body, **arguments)

    def etag(self, key: str) -> str | None:
        there = {"Bucket": self.bucket, "Key": self.prefix + key, **self._payer}
        try:
            return self._call("head", key, lambda: self._etag(self._client.head_object(**there)))
        except NotFoundError:
            return None

    def delete(self, key: str) -> None:
        there = {"Bucket": self.bucket, "Key": self.prefix + key, **self._payer}
        self._call("delete", key, lambda: self._deleted(there))

    def _deleted(self, there: Mapping[str, str]) -> None:
        headers = self._client.delete_object(**there)["ResponseMetadata"]["HTTPHeaders"]
        if headers.get("content-type", "").startswith("text/html"):
            raise StoreError(f"{s3_errors.no_s3(self.endpoint)}: it sent a web page; correct AWS_ENDPOINT_URL_S3")

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        token = {"StartAfter": self.prefix + after} if after else {}
        seen = {("token", "")}
        while True:
            page = self._call("list", prefix, lambda: self._page(prefix, **token))  # noqa: B023
            found = page.get("Contents", [])
            for item in found:
                key = item["Key"][len(self.prefix) :]
                if not after or key.encode() > after.encode():  # a server may not support it
                    yield Entry(key, self._etag(item), item["Size"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page.get("NextContinuationToken", "")}
            marks = {("token", token["ContinuationToken"]), *(("first key", item["Key"]) for item in found[:1])}
            if marks & seen:  # a server without continuation sends the first page forever
                raise StoreError(f"{s3_errors.no_s3(self.endpoint)}: its listing of {self.where(prefix)} has no end")
            seen |= marks

    def _page(self, prefix: str, **arguments: Any) -> Any:
        below = self.prefix + prefix
        page = self._client.list_objects_v2(Bucket=self.bucket, Prefix=below, **self._payer, **arguments)
        strays = [item for item in page.get("Contents", []) if not item.get("Key", "").startswith(below)]
        if strays or not {"Name", "IsTruncated", "KeyCount"} & page.keys():
            raise StoreError(
                f"{s3_errors.no_s3(self.endpoint)}: its response is not a listing; correct AWS_ENDPOINT_URL_S3"
            )
        return page

    def check(self) -> None:
        """Checks endpoint, credentials and bucket."""
        self._call("list", "", lambda: self._page("", MaxKeys=1))

    def where(self, key: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def _call(self, operation: str, key: str, request: Callable[[], R]) -> R:
        with self._told(operation):
            try:
                return request()
            except ClientError as error:
                has_body = operation != "head"
                raise s3_errors.refused(error, self.endpoint, self.bucket, self.where(key), has_body) from error
            except BotoCoreError as error:
                raise s3_errors.unanswered(error, self.endpoint) from error
