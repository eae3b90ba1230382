"""What Airflow's containers need besides its tables before they start; the native stack calls the same by itself.

    python -m stack.first_start

Creates the bucket of `CATWALK_STORE` where it is missing, and writes the file named by
`AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE` anew, with `CATWALK_AIRFLOW_PASSWORD`. Refuses a schedule or retries
that make no sense, which a DAG file would put up with.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from catwalk.airflow import dag_settings
from catwalk.entry_point import entry_point
from catwalk.errors import CatwalkError
from catwalk.storage import s3
from catwalk.storage.opening import open_store
from catwalk.storage.s3_errors import unanswered
from catwalk.storage.s3_store import S3Store
from catwalk.storage.store import Store
from stack.configuration import credentials
from stack.settings import StackError


def create_bucket(name: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the bucket had to be created. One that exists is only looked at: credentials for it alone will do.

    Args:
        name: the bucket's, or an access point's ARN.
        environment: what names the S3, see :mod:`catwalk.storage.s3`.

    Raises:
        StackError: a setting makes no sense, or S3 does not answer or refuses.
    """
    try:
        client = s3.client(environment)
        return not _exists(client, name) and _create(client, name)
    except CatwalkError as error:
        raise StackError(str(error)) from error
    except BotoCoreError as error:
        raise StackError(f"{unanswered(error, client.meta.endpoint_url)}") from error


def _exists(client: Any, name: str) -> bool:
    try:
        client.head_bucket(Bucket=name)
        return True
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise StackError(f"bucket {name} can't be used: {error}; check AWS_ACCESS_KEY_ID and its rights") from error


def _create(client: Any, name: str) -> bool:
    region = client.meta.region_name
    # The one region that must not be named.
    placed = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        client.create_bucket(Bucket=name, **placed)
        return True
    except ClientError as error:
        raise StackError(f"bucket {name} can't be created: {error}; create it, or correct CATWALK_STORE") from error


@entry_point("stack")
def main() -> None:
    """Entry point."""
    dag_settings.check()
    store = open_store(_set("CATWALK_STORE"))
    passwords = Path(_set("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"))
    made = _make(store)
    credentials.write_airflow_users(passwords, _set("CATWALK_AIRFLOW_PASSWORD"))
    print(f"{made}; wrote {passwords}")


def _make(store: Store) -> str:
    """What holds a store, and whether it was made; the first write makes a folder."""
    if not isinstance(store, S3Store):
        return f"runs are kept in {store.place}"
    return f"bucket {store.bucket} {'was created' if create_bucket(store.bucket) else 'is there'}"


def _set(name: str) -> str:
    try:
        return os.environ[name]
    except KeyError as error:
        raise StackError(f"{name} is not set") from error


if __name__ == "__main__":
    sys.exit(main())
