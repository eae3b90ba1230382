"""Prepares what Airflow's containers need before they start, besides its tables; the native stack calls the same code.

    python -m stack.first_start

Creates the bucket of `CATWALK_STORE` if it is missing, and rewrites the file named by
`AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE`, with `CATWALK_AIRFLOW_PASSWORD`. Refuses an invalid schedule or
number of retries, which a DAG file would tolerate.
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
    """Creates the bucket if needed; returns whether it did. For an existing one, credentials for only that bucket
    suffice.

    Args:
        name: The bucket's name, or an access point's ARN.
        environment: The settings of S3, see :mod:`catwalk.storage.s3`.

    Raises:
        StackError: a setting is invalid, or S3 does not answer or refuses.
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
        raise StackError(
            f"bucket {name} can't be used: {error}; check AWS_ACCESS_KEY_ID and its permissions"
        ) from error


def _create(client: Any, name: str) -> bool:
    region = client.meta.region_name
    # The only region that must not be named.
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
    """Prepares a store; returns where it is, and whether it was created. The first write creates a folder."""
    if not isinstance(store, S3Store):
        return f"runs are stored in {store.place}"
    return f"bucket {store.bucket} {'was created' if create_bucket(store.bucket) else 'exists'}"


def _set(name: str) -> str:
    try:
        return os.environ[name]
    except KeyError as error:
        raise StackError(f"{name} is not set") from error


if __name__ == "__main__":
    sys.exit(main())
