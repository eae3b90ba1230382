"""The S3 client that the environment configures.

The client of the stack's own S3 uses only the given keys: the caller's session token, profile or files belong to
another S3. For any other S3, boto3 uses all of them as usual.
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
"""Additional arguments of a PUT. Customer keys (SSE-C) are not among them, because every GET would need them too."""
_UNSET = {
    name: (None, None, default, kind) for name, (_, _, default, kind) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
}
"""A session's variables that must not come from the environment or a file."""
_NO_FILE = (None, None, os.devnull, None)
_LOADER = botocore.loaders.create_loader()
"""Loads boto3's description of S3's API only once; by default, a session does so for each client."""


def is_own(environment: Mapping[str, str]) -> bool:
    """Whether the S3 is the native stack's; the stack sets `CATWALK_PORT_S3` for its clients."""
    port = environment.get("CATWALK_PORT_S3")
    return bool(port) and environment.get("AWS_ENDPOINT_URL_S3") == f"http://127.0.0.1:{port}"


def client(
    environment: Mapping[str, str] = os.environ,
    *,
    connect_seconds: float = 5,
    read_seconds: float = 30,
    tries: int = 4,
) -> Any:
    """A client for the S3 of the environment; for a foreign S3, boto3 finds the other settings by itself.

    Args:
        environment: boto3's variables for endpoint, region and credentials.
        connect_seconds: Timeout of a connection.
        read_seconds: Timeout of a read.
        tries: Maximum number of attempts of a request that times out or meets a server error.

    Raises:
        ConfigError: A setting is invalid.
    """
    config = Config(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": tries},
        max_pool_connections=16,
        # boto3's newer default sends trailing checksums, which some S3 servers refuse; sha256 in the ledger protects
        # what matters.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    region = _region(environment)
    try:
        made = _own(environment, region, config) if is_own(environment) else _foreign(region, config)
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(f"can't set up the S3 client: {' '.join(str(error).split())}") from error
    made.meta.events.register_first("needs-retry.s3", _refuse_redirection)
    return made


def _region(environment: Mapping[str, str]) -> str | None:
    """The region; None if a profile may set it. boto3 reads only the second variable, and accepts an empty one."""
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
    # boto3 reads the latter from the environment whatever the session has.
    own = Config(proxies={}, s3={"addressing_style": "path", "us_east_1_regional_endpoint": "regional"})
    return session.client("s3", endpoint_url=environment["AWS_ENDPOINT_URL_S3"], config=config.merge(own))


def _foreign(region: str | None, config: Config) -> Any:
    session = boto3.session.Session(region_name=region, botocore_session=_session())
    found = session.client("s3", config=config)
    # Only now is the endpoint known, because a file may set it too.
    if is_local(found.meta.endpoint_url):
        return session.client("s3", config=config.merge(Config(proxies={})))
    return found


def _session(variables: Mapping[str, Any] | None = None) -> botocore.session.Session:
    session = botocore.session.Session(session_vars=variables)
    session.register_component("data_loader", _LOADER)
    # The time of an object's last change is not used, and parsing it takes two thirds of a listing's time.
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_as_sent)
    return session


def _as_sent(value: Any) -> Any:
    return value


def _refuse_redirection(response: Any, **_: Any) -> None:
    """Refuses other redirects than S3's to another region, such as a login page, on which boto3 would retry forever.

    Raises:
        StoreError: It is not a redirect of S3.
    """
    if response is None or not 300 <= response[0].status_code < 400 or response[0].status_code == 304:
        return
    http, parsed = response
    code = str(parsed.get("Error", {}).get("Code", ""))
    if "x-amz-bucket-region" not in http.headers and (not code or code.isdigit()):
        where = http.headers.get("location", "nowhere")
        raise StoreError(f"the server at {http.url} is not S3: it redirects to {where}; correct AWS_ENDPOINT_URL_S3")


def put_arguments(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Additional arguments of each PUT, such as encryption: `CATWALK_S3_PUT_ARGUMENTS`, a JSON object.

    Raises:
        ConfigError: It is not a JSON object, or has an unsupported argument.
    """
    text = environment.get(PUT_VARIABLE, "").strip() or "{}"
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{PUT_VARIABLE} is not valid JSON ({error}); an example is {_EXAMPLE}") from error
    if not isinstance(given, dict):
        raise ConfigError(f"{PUT_VARIABLE} must be a JSON object such as {_EXAMPLE}, not {text}")
    for name, value in given.items():
        kind = _PUT_ARGUMENTS.get(name)
        if kind is None:
            raise ConfigError(f"{PUT_VARIABLE} can't set {name!r}; it may set {', '.join(_PUT_ARGUMENTS)}")
        if not isinstance(value, kind):
            wanted = "true or false" if kind is bool else "text"
            raise ConfigError(f"{PUT_VARIABLE}: {name} must be {wanted}, not {json.dumps(value)}")
    return given


_EXAMPLE = '{"ServerSideEncryption": "aws:kms"}'


def payer(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The argument of each request that names who pays, if not the bucket's owner: `CATWALK_S3_REQUEST_PAYER`.

    Raises:
        ConfigError: It is neither empty nor ``requester``.
    """
    given = environment.get(PAYER_VARIABLE, "").strip()
    if given not in ("", "requester"):
        raise ConfigError(f"{PAYER_VARIABLE} must be requester, or empty, not {given!r}")
    return {"RequestPayer": given} if given else {}
