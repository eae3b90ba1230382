"""The S3 client that the environment asks for.

The stack's own S3 gets the keys at hand and nothing else: a session token, a profile or a file of the caller's belongs
to another S3. That other S3 gets all of it, as boto3 finds it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from botocore.exceptions import BotoCoreError

from catwalk.environment.proxies import is_local
from catwalk.errors import ConfigError, StoreError

PUT_VARIABLE = "CATWALK_S3_PUT_ARGUMENTS"
PAYER_VARIABLE = "CATWALK_S3_REQUEST_PAYER"
_PUT_ARGUMENTS: dict[str, type] = {
    "ACL": str,
    "BucketKeyEnabled": bool,
    "CacheControl": str,
    "ChecksumAlgorithm": str,
    "SSEKMSEncryptionContext": str,
    "SSEKMSKeyId": str,
    "ServerSideEncryption": str,
    "StorageClass": str,
    "Tagging": str,
}
"""What a PUT may be told besides; a key of one's own (SSE-C) is not among it, for every GET would need it too."""
_UNSET = {
    name: (None, None, default, kind) for name, (_, _, default, kind) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
}
"""A session's variables, to be found in no environment and no file."""
_NO_FILE = (None, None, os.devnull, None)
_LOADER = botocore.loaders.create_loader()
"""Reads what boto3 knows of S3's API once; a session of its own accord would for each client."""


def is_own(environment: Mapping[str, str]) -> bool:
    """Whether the S3 is the one that the native stack runs; `CATWALK_PORT_S3` is among what that tells its clients."""
    port = environment.get("CATWALK_PORT_S3")
    return bool(port) and environment.get("AWS_ENDPOINT_URL_S3") == f"http://127.0.0.1:{port}"


def client(
    environment: Mapping[str, str] = os.environ,
    *,
    connect_seconds: float = 5,
    read_seconds: float = 30,
    tries: int = 4,
) -> Any:
    """A client for the S3 that the environment names; of a foreign one, boto3 looks for the rest by itself.

    Args:
        environment: boto3's own variables for endpoint, region and credentials.
        connect_seconds: time-out of a connection.
        read_seconds: time-out of a read.
        tries: requests that time out or meet a fault of the server are tried so often in all.

    Raises:
        ConfigError: a setting makes no sense.
    """
    config = Config(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": tries},
        max_pool_connections=16,
        # boto3's newer default sends trailing checksums, which some S3 servers refuse; sha256 in the ledger guards
        # what matters.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    region = _region(environment)
    try:
        made = _own(environment, region, config) if is_own(environment) else _foreign(region, config)
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(f"the S3 client can't be set up: {' '.join(str(error).split())}") from error
    made.meta.events.register_first("needs-retry.s3", _refuse_redirection)
    return made


def _region(environment: Mapping[str, str]) -> str | None:
    """None where a profile may say it. boto3 itself knows the second variable alone, and takes one that is empty."""
    named = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    return named or ("us-east-1" if "AWS_DEFAULT_REGION" in environment else None)


def _own(environment: Mapping[str, str], region: str | None, config: Config) -> Any:
    variables = {**_UNSET, "config_file": _NO_FILE, "credentials_file": _NO_FILE}
    session = boto3.session.Session(
        environment.get("AWS_ACCESS_KEY_ID"),
        environment.get("AWS_SECRET_ACCESS_KEY"),
        region_name=region or "us-east-1",
        botocore_session=_session(variables),
    )
    # The latter is looked for in the environment whatever the session says.
    own = Config(proxies={}, s3={"addressing_style": "path", "us_east_1_regional_endpoint": "regional"})
    return session.client("s3", endpoint_url=environment["AWS_ENDPOINT_URL_S3"], config=config.merge(own))


def _foreign(region: str | None, config: Config) -> Any:
    session = boto3.session.Session(region_name=region, botocore_session=_session())
    found = session.client("s3", config=config)
    # Only now is it known where the endpoint is, for a file may name it as well.
    if is_local(found.meta.endpoint_url):
        return session.client("s3", config=config.merge(Config(proxies={})))
    return found


def _session(variables: Mapping[str, Any] | None = None) -> botocore.session.Session:
    session = botocore.session.Session(session_vars=variables)
    session.register_component("data_loader", _LOADER)
    # Nobody asks when an object was changed, and to parse that takes two thirds of the time of a listing.
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_as_sent)
    return session


def _as_sent(value: Any) -> Any:
    return value


def _refuse_redirection(response: Any, **_: Any) -> None:
    """S3 redirects to another region, and says which. A page that asks to sign in would keep boto3 busy without end.

    Raises:
        StoreError: it is no redirection of S3's.
    """
    if response is None or not 300 <= response[0].status_code < 400 or response[0].status_code == 304:
        return
    http, parsed = response
    code = str(parsed.get("Error", {}).get("Code", ""))
    if "x-amz-bucket-region" not in http.headers and (not code or code.isdigit()):
        where = http.headers.get("location", "nowhere")
        raise StoreError(f"what answers at {http.url} is no S3: it redirects to {where}; correct AWS_ENDPOINT_URL_S3")


def put_arguments(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What each PUT is told besides, such as how to encrypt: `CATWALK_S3_PUT_ARGUMENTS`, a JSON object.

    Raises:
        ConfigError: it is none, or holds what a PUT here can't be told.
    """
    text = environment.get(PUT_VARIABLE, "").strip() or "{}"
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{PUT_VARIABLE} is no JSON ({error}); it looks like {_EXAMPLE}") from error
    if not isinstance(given, dict):
        raise ConfigError(f"{PUT_VARIABLE} must be a JSON object such as {_EXAMPLE}, not {text}")
    for name, value in given.items():
        kind = _PUT_ARGUMENTS.get(name)
        if kind is None:
            raise ConfigError(f"{PUT_VARIABLE} can't set {name!r}; it may set {', '.join(_PUT_ARGUMENTS)}")
        if not isinstance(value, kind):
            wanted = "true or false" if kind is bool else "a text"
            raise ConfigError(f"{PUT_VARIABLE}: {name} must be {wanted}, not {json.dumps(value)}")
    return given


_EXAMPLE = '{"ServerSideEncryption": "aws:kms"}'


def payer(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What each request is told of who pays for it: `CATWALK_S3_REQUEST_PAYER`, where that is not the bucket's owner.

    Raises:
        ConfigError: it is neither empty nor ``requester``.
    """
    given = environment.get(PAYER_VARIABLE, "").strip()
    if given not in ("", "requester"):
        raise ConfigError(f"{PAYER_VARIABLE} must be requester, or empty, not {given!r}")
    return {"RequestPayer": given} if given else {}
