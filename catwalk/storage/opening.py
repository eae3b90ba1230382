"""Opens the store that an address names: ``s3://bucket[/prefix]`` or ``file:///folder``."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

from catwalk.errors import ConfigError
from catwalk.storage.store import USUAL, OnOperation, Patience, Store, ignore

VARIABLE = "CATWALK_STORE"
LOCAL_FOLDER = ".catwalk-ledger"
"""Where runs live that were told no place."""
_FORMS = "s3://bucket, s3://bucket/prefix or file:///folder"


def open_store(url: str | None = None, on_operation: OnOperation = ignore, patience: Patience = USUAL) -> Store:
    """The store at an address; nothing is asked of it yet, and boto3 is imported for S3 alone.

    Args:
        url: the address; None: what `CATWALK_STORE` says.
        on_operation: is told of each request.
        patience: how long a request may take.

    Raises:
        ConfigError: the address is unset or malformed.
    """
    named = os.environ.get(VARIABLE, "") if url is None else url
    if not named and url is None:
        raise ConfigError(f"{VARIABLE} is not set; give it the place where runs live, such as {_FORMS}")
    if named.startswith("s3:"):
        from catwalk.storage.s3_store import S3Store

        return S3Store(named, on_operation, patience)
    if named.startswith("file:"):
        from catwalk.storage.file_store import FileStore

        return FileStore(named, on_operation, patience)
    raise ConfigError(f"{VARIABLE} must look like {_FORMS}, not {named!r}")


def open_store_or_local(on_operation: OnOperation = ignore, patience: Patience = USUAL) -> Store:
    """What `CATWALK_STORE` names; where it is unset, the folder ``.catwalk-ledger`` here, as a line on stderr says.

    Raises:
        ConfigError: the address is malformed.
    """
    if os.environ.get(VARIABLE):
        return open_store(None, on_operation, patience)
    url = local_url()
    print(f"catwalk: {VARIABLE} is not set, so runs are kept in {url}", file=sys.stderr)
    return open_store(url, on_operation, patience)


def use_local(environment: MutableMapping[str, str] = os.environ) -> None:
    """Lets `CATWALK_STORE`, where it is unset, name the folder ``.catwalk-ledger`` here, where that is there."""
    if not environment.get(VARIABLE) and Path(LOCAL_FOLDER).is_dir():
        environment[VARIABLE] = local_url()


def local_url() -> str:
    """The address of ``.catwalk-ledger`` in the current folder."""
    return Path(LOCAL_FOLDER).absolute().as_uri()
