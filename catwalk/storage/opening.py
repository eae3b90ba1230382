"""Opens the store with a URL: ``s3://bucket[/prefix]`` or ``file:///folder``."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

from catwalk.errors import ConfigError
from catwalk.storage.store import USUAL, OnOperation, Patience, Store, ignore

VARIABLE = "CATWALK_STORE"
LOCAL_FOLDER = ".catwalk-ledger"
"""The folder for runs without a configured store."""
_FORMS = "s3://bucket, s3://bucket/prefix or file:///folder"


def open_store(url: str | None = None, on_operation: OnOperation = ignore, patience: Patience = USUAL) -> Store:
    """The store with a URL, without any request yet; it imports boto3 only for S3.

    Args:
        url: The URL; None means that of `CATWALK_STORE`.
        on_operation: Called after each request.
        patience: How long a request may take.

    Raises:
        ConfigError: The URL is unset or malformed.
    """
    named = os.environ.get(VARIABLE, "") if url is None else url
    if not named and url is None:
        raise ConfigError(f"{VARIABLE} is not set; set it to the store of the runs, such as {_FORMS}")
    if named.startswith("s3:"):
        from catwalk.storage.s3_store import S3Store

        return S3Store(named, on_operation, patience)
    if named.startswith("file:"):
        from catwalk.storage.file_store import FileStore

        return FileStore(named, on_operation, patience)
    raise ConfigError(f"{VARIABLE} must look like {_FORMS}, not {named!r}")


def open_store_or_local(on_operation: OnOperation = ignore, patience: Patience = USUAL) -> Store:
    """The store of `CATWALK_STORE`; if that is unset, the folder ``.catwalk-ledger`` here, with a line on stderr.

    Raises:
        ConfigError: The URL is malformed.
    """
    if os.environ.get(VARIABLE):
        return open_store(None, on_operation, patience)
    url = local_url()
    print(f"catwalk: {VARIABLE} is not set, so runs are stored in {url}", file=sys.stderr)
    return open_store(url, on_operation, patience)


def use_local(environment: MutableMapping[str, str] = os.environ) -> None:
    """Sets `CATWALK_STORE`, if it is unset, to the folder ``.catwalk-ledger`` here, if that exists."""
    if not environment.get(VARIABLE) and Path(LOCAL_FOLDER).is_dir():
        environment[VARIABLE] = local_url()


def local_url() -> str:
    """The URL of ``.catwalk-ledger`` in the current folder."""
    return Path(LOCAL_FOLDER).absolute().as_uri()
