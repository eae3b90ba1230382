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
from catwalk.storage.s3_errors import unanswered
from catwalk.storage.s3_store import location
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
    bucket, _ = location(_set("CATWALK_STORE"))
    passwords = Path(_set("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"))
    created = create_bucket(bucket)
    credentials.write_airflow_users(passwords, _set("CATWALK_AIRFLOW_PASSWORD"))
    print(f"bucket {bucket} {'was created' if created else 'is there'}; wrote {passwords}")


def _set(name: str) -> str:
    try:
        return os.environ[name]
    except KeyError as error:
        raise StackError(f"{name} is not set") from error


if __name__ == "__main__":
    sys.exit(main())
