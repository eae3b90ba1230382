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

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ml import schedule
from ml.errors import CatwalkError
from stack import credentials
from stack.settings import StackError


def create_bucket(name: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the bucket had to be created. One that exists is only looked at: credentials for it alone will do.

    Args:
        name: the bucket's.
        environment: boto3's own variables for endpoint, region and credentials; it looks for the rest by itself.

    Raises:
        StackError: S3 does not answer or refuses.
    """
    region = environment.get("AWS_REGION", "us-east-1")
    keys = map(environment.get, ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"))
    session = boto3.session.Session(*keys, region_name=region)
    client = session.client("s3", endpoint_url=environment.get("AWS_ENDPOINT_URL_S3") or None)
    # The one region that must not be named.
    placed = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        client.head_bucket(Bucket=name)
        return False
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise StackError(f"bucket {name} can't be used: {error}; check AWS_ACCESS_KEY_ID and its rights") from error
    except BotoCoreError as error:
        raise StackError(f"S3 does not answer: {error}; check AWS_ENDPOINT_URL_S3") from error
    try:
        client.create_bucket(Bucket=name, **placed)
    except (ClientError, BotoCoreError) as error:
        raise StackError(f"bucket {name} can't be created: {error}; create it, or correct CATWALK_STORE") from error
    return True


def main() -> int:
    """Entry point; returns the exit code."""
    try:
        schedule.check()
        bucket = os.environ["CATWALK_STORE"].removeprefix("s3://").partition("/")[0]
        passwords = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
        created = create_bucket(bucket)
        credentials.write_airflow_users(passwords, os.environ["CATWALK_AIRFLOW_PASSWORD"])
    except KeyError as error:
        print(f"stack: {error.args[0]} is not set", file=sys.stderr)
        return 1
    except (CatwalkError, OSError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    print(f"bucket {bucket} {'was created' if created else 'is there'}; wrote {passwords}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
