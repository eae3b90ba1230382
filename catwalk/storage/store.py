"""The interface of the ledger's storage: whole objects under keys, conditional writes, listings in key order.

:mod:`catwalk.storage.s3_store` implements it with S3, and :mod:`catwalk.storage.file_store` with a local folder and the
same guarantees; :func:`catwalk.storage.opening.open_store` chooses. `create` writes once, and `if_match` replaces only
the version that was read: one of any number of concurrent writers wins.
"""

from __future__ import annotations

import io
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, ClassVar, TypeVar

from catwalk import files
from catwalk.codec import from_json, to_json
from catwalk.errors import DamagedError, NotFoundError, PreconditionFailedError

R = TypeVar("R")
OnOperation = Callable[[str, float, bool], None]
"""Called after each request with its operation (``get``, ``put``, ``head``, ``list``, ``delete``), seconds and whether
it failed."""
PAGE = 1_000
"""Entries per listing request."""


@dataclass(frozen=True)
class Stored:
    """An object that was read."""

    body: bytes
    etag: str


@dataclass(frozen=True)
class Entry:
    """An object in a listing."""

    key: str
    etag: str
    size: int


@dataclass(frozen=True)
class Patience:
    """Limits on the time of a request."""

    connect_seconds: float = 5
    """Timeout of a connection."""
    read_seconds: float = 30
    """Timeout of a response; in a folder, of the wait for another writer of the same object."""
    tries: int = 4
    """Maximum number of attempts of a request that times out or meets a server error."""


USUAL = Patience()


def ignore(operation: str, seconds: float, failed: bool) -> None:
    """An :data:`OnOperation` that does nothing."""


@dataclass
class Store(ABC):
    """Objects below `url`. Threads can share it.

    An ETag identifies one version of one object. Every method raises StoreError if the store fails or refuses a
    request.
    """

    url: str
    on_operation: OnOperation = field(default=ignore, repr=False)
    patience: Patience = field(default=USUAL, repr=False)
    answers: ClassVar[tuple[type[Exception], ...]] = (NotFoundError, PreconditionFailedError)
    """Errors that don't mean a failed request."""

    @property
    @abstractmethod
    def place(self) -> str:
        """The location of the objects, for messages."""

    def get(self, key: str) -> Stored:
        """Reads a whole object.

        Raises:
            NotFoundError: There is none.
        """
        body = io.BytesIO()
        return Stored(etag=self._fetch(key, body), body=body.getvalue())

    def get_file(self, key: str, target: Path) -> str:
        """Copies an object of any size into a file, atomically, and returns the ETag.

        Raises:
            NotFoundError: There is none.
            OSError: The file can't be written.
        """
        with files.whole(target) as file:
            return self._fetch(key, file)

    @abstractmethod
    def _fetch(self, key: str, sink: BinaryIO) -> str:
        """Copies an object into an empty file, and returns its ETag.

        Raises:
            NotFoundError: There is none.
        """

    @abstractmethod
    def put(self, key: str, body: bytes, *, if_match: str | None = None, create: bool = False) -> str:
        """Writes a whole object and returns its ETag.

        Args:
            key: The object's key.
            body: The content.
            if_match: Replace only the object with this ETag.
            create: Write only if no object exists.

        Raises:
            PreconditionFailedError: `if_match` or `create` did not hold. It isn't raised if the object already has the
                same bytes, because a retried PUT can meet its own first attempt. So a body that competes with others
                must differ from theirs.
        """

    @abstractmethod
    def put_file(self, key: str, source: Path) -> str:
        """Writes an object from a file of any size, atomically, and returns the ETag.

        Raises:
            OSError: The file can't be read.
        """

    @abstractmethod
    def etag(self, key: str) -> str | None:
        """The ETag of an object; None if there is none."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Removes an object; a missing one is not an error."""

    @abstractmethod
    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """The objects with a prefix, in the order of their keys in UTF-8, :data:`PAGE` per request.

        Args:
            prefix: The beginning of their keys.
            after: Only objects whose keys come after this one, which need not exist.
        """

    @abstractmethod
    def check(self) -> None:
        """Checks, with one cheap request, that the location exists and is readable."""

    def find(self, key: str) -> Stored | None:
        """Like :meth:`get`, but None if there is no object."""
        try:
            return self.get(key)
        except NotFoundError:
            return None

    def exists(self, key: str) -> bool:
        """Whether an object has this key."""
        return self.etag(key) is not None

    def get_record(self, kind: type[R], key: str) -> tuple[R, str]:
        """Reads a record, decoded by :mod:`catwalk.codec`, and its ETag.

        Raises:
            DamagedError: The object is not such a record.
        """
        stored = self.get(key)
        try:
            return from_json(kind, stored.body), stored.etag
        except ValueError as error:
            raise DamagedError(f"{self.where(key)} is damaged: {error}") from error

    def find_record(self, kind: type[R], key: str) -> tuple[R, str] | None:
        """Like :meth:`get_record`, but None if there is no object."""
        try:
            return self.get_record(kind, key)
        except NotFoundError:
            return None

    def put_record(self, key: str, record: object, *, if_match: str | None = None, create: bool = False) -> str:
        """Writes a record as JSON; see :meth:`put`."""
        return self.put(key, to_json(record), if_match=if_match, create=create)

    def where(self, key: str) -> str:
        """The URL of an object, for messages."""
        return f"{self.url.rstrip('/')}/{key}"

    @contextmanager
    def _told(self, operation: str) -> Iterator[None]:
        """Wraps one request: reports it to `on_operation`."""
        started, failed = time.perf_counter(), True
        try:
            yield
            failed = False
        except self.answers:
            failed = False
            raise
        finally:
            self.on_operation(operation, time.perf_counter() - started, failed)
