"""What the run ledger stands on: whole objects under keys, conditional writes, listings in the order of the keys.

:mod:`catwalk.storage.s3_store` has them in S3, :mod:`catwalk.storage.file_store` in a folder of this machine, with the
same guarantees; :func:`catwalk.storage.opening.open_store` chooses. `create` writes once, `if_match` replaces only what
was read: of any number who try at once, one wins.
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
"""Entries that one request for a listing gives."""


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


@dataclass(frozen=True)
class Patience:
    """How long a request may take."""

    connect_seconds: float = 5
    """Time-out of a connection."""
    read_seconds: float = 30
    """Time-out of an answer; in a folder, of the wait for another writer of the same object."""
    tries: int = 4
    """Requests that time out or meet a fault of the server are tried so often in all."""


USUAL = Patience()


def ignore(operation: str, seconds: float, failed: bool) -> None:
    """An :data:`OnOperation` for whoever counts nothing."""


@dataclass
class Store(ABC):
    """Objects below the place that `url` names. Safe to share between threads.

    An ETag names one version of one object. Every method raises StoreError where the store fails or refuses.
    """

    url: str
    on_operation: OnOperation = field(default=ignore, repr=False)
    patience: Patience = field(default=USUAL, repr=False)
    answers: ClassVar[tuple[type[Exception], ...]] = (NotFoundError, PreconditionFailedError)
    """What a request that has not failed may raise."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Where objects are, for messages."""

    def get(self, key: str) -> Stored:
        """Reads a whole object.

        Raises:
            NotFoundError: there is none.
        """
        body = io.BytesIO()
        return Stored(etag=self._fetch(key, body), body=body.getvalue())

    def get_file(self, key: str, target: Path) -> str:
        """Copies an object of any size into a file, which is there whole or not at all, and returns the ETag.

        Raises:
            NotFoundError: there is none.
            OSError: the file can't be written.
        """
        with files.whole(target) as file:
            return self._fetch(key, file)

    @abstractmethod
    def _fetch(self, key: str, sink: BinaryIO) -> str:
        """Copies an object into an empty file, and returns its ETag.

        Raises:
            NotFoundError: there is none.
        """

    @abstractmethod
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

    @abstractmethod
    def put_file(self, key: str, source: Path) -> str:
        """Writes an object from a file of any size, whole or not at all, and returns the ETag.

        Raises:
            OSError: the file can't be read.
        """

    @abstractmethod
    def etag(self, key: str) -> str | None:
        """The ETag of an object, or None where there is none."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Removes an object; none there is no error."""

    @abstractmethod
    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """The objects whose keys begin so, in the order of their keys' UTF-8, :data:`PAGE` a request.

        Args:
            prefix: what their keys begin with.
            after: only those whose keys come after this one, whether there is an object or not.
        """

    @abstractmethod
    def check(self) -> None:
        """One cheap request that proves that the place is there and may be read."""

    def find(self, key: str) -> Stored | None:
        """Like :meth:`get`, but None where there is no object."""
        try:
            return self.get(key)
        except NotFoundError:
            return None

    def exists(self, key: str) -> bool:
        """Whether an object has this key."""
        return self.etag(key) is not None

    def get_record(self, kind: type[R], key: str) -> tuple[R, str]:
        """Reads a record, which :mod:`catwalk.codec` decodes, and its ETag.

        Raises:
            DamagedError: the object is not such a record.
        """
        stored = self.get(key)
        try:
            return from_json(kind, stored.body), stored.etag
        except ValueError as error:
            raise DamagedError(f"{self.where(key)} is damaged: {error}") from error

    def find_record(self, kind: type[R], key: str) -> tuple[R, str] | None:
        """Like :meth:`get_record`, but None where there is no object."""
        try:
            return self.get_record(kind, key)
        except NotFoundError:
            return None

    def put_record(self, key: str, record: object, *, if_match: str | None = None, create: bool = False) -> str:
        """Writes a record as JSON; see :meth:`put`."""
        return self.put(key, to_json(record), if_match=if_match, create=create)

    def where(self, key: str) -> str:
        """The address of an object, for messages."""
        return f"{self.url.rstrip('/')}/{key}"

    @contextmanager
    def _told(self, operation: str) -> Iterator[None]:
        """Around one request: tells `on_operation` of it."""
        started, failed = time.perf_counter(), True
        try:
            yield
            failed = False
        except self.answers:
            failed = False
            raise
        finally:
            self.on_operation(operation, time.perf_counter() - started, failed)
