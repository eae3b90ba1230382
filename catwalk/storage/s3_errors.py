"""Errors of S3 as one line: its own code and message, and what to do about that code."""

from __future__ import annotations

import re

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProxyConnectionError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from catwalk.environment.proxies import proxy_for, through_proxy
from catwalk.errors import NotFoundError, PreconditionFailedError, StoreError, StoreUnavailableError

_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_TOKEN = "AWS_SESSION_TOKEN has expired or belongs to other keys: set a new one with its keys, or unset it"
_CLOCK = "correct the clock of this machine or of the server"
_RIGHTS = (
    "these credentials need s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on its "
    "objects, and no policy may deny that"
)
_REGION = "set AWS_REGION to the bucket's region"
_ARCHIVED = "it is archived: restore it, and exclude the store from lifecycle rules"
_LACKING = "use an S3 server that supports this request (versitygw from 1.8.0, AWS)"
_SLOWER = "too many requests at once; retry later"
_AGAIN = "the connection is slow or was interrupted; retry"
_PROXY = "correct HTTP_PROXY or HTTPS_PROXY, or add that host to NO_PROXY"
_FAULT = "see its log; is its disk full?"
_ADVICE = {
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "XAdminUserNotFound": _KEYS,  # versitygw's code for an unknown key, with status 404
    "ExpiredToken": _TOKEN,
    "ExpiredTokenException": _TOKEN,
    "InvalidToken": _TOKEN,
    "TokenRefreshRequired": _TOKEN,
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "AccessDenied": _RIGHTS,
    "AllAccessDisabled": _RIGHTS,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "PermanentRedirect": _REGION,
    "InvalidObjectState": _ARCHIVED,
    "NotImplemented": _LACKING,
    "RequestTimeout": _AGAIN,
    "RequestTimeoutException": _AGAIN,
    "SlowDown": _SLOWER,
    "SlowDownRead": _SLOWER,
    "SlowDownWrite": _SLOWER,
    "Throttling": _SLOWER,
    "ThrottlingException": _SLOWER,
    "TooManyRequests": _SLOWER,
    "RequestLimitExceeded": _SLOWER,
}
_PASSES = {_AGAIN, _SLOWER, _FAULT}
"""Codes of errors that a later retry may resolve."""


class ConflictError(StoreError):
    """409: another conditional write was in progress; retry at once."""


def refused(error: ClientError, endpoint: str, bucket: str, where: str, has_body: bool) -> StoreError:
    """The error for an unsuccessful response.

    Args:
        error: boto3's error.
        endpoint: The server's endpoint.
        bucket: The bucket of the request.
        where: The object or folder, as a URL.
        has_body: Whether the response can have a body; one to a HEAD request can't.
    """
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if has_body and (not code or code.isdigit()):
        return _stranger(error, endpoint, status)
    if code == "NoSuchBucket":
        return StoreError(f"bucket {bucket!r} does not exist at {endpoint}; create it or change CATWALK_STORE")
    advice = _ADVICE.get(code) or _advice_by_status(status)
    if status == 404 and not advice:
        return NotFoundError(f"{where} does not exist")
    if status == 412:
        return PreconditionFailedError(f"{where} was changed by another writer")
    if status == 409 and not advice:
        return ConflictError(where)
    said = f"{code}: {_line(error.response.get('Error', {}).get('Message', ''))}".removesuffix(": ")
    server = f"S3 at {endpoint}{through_proxy(endpoint)}"
    if advice == _KEYS:
        return StoreError(f"{server} refused the credentials for {where} ({said}); {_KEYS}")
    kind = StoreUnavailableError if advice in _PASSES else StoreError
    remedy = f"; {advice}" if advice else ""
    return kind(f"{server} answered {said} (HTTP {status}) for {where}{remedy}")


def _advice_by_status(status: int) -> str:
    known = {401: _KEYS, 403: _RIGHTS, 429: _SLOWER, 501: _LACKING, 503: _SLOWER}
    return known.get(status) or (_FAULT if status >= 500 else "")


def _stranger(error: ClientError, endpoint: str, status: int) -> StoreError:
    """The error for a response without an error code, which S3 always has: a proxy, a gateway or another server sent
    it.
    """
    said = f"{status} {_line(error.response.get('Error', {}).get('Message', ''))}".strip()
    kind = StoreUnavailableError if status >= 500 and status != 501 else StoreError
    proxy = proxy_for(endpoint)
    if proxy:
        return kind(f"the proxy {proxy} answered {said} in place of S3 at {endpoint}; {_PROXY}")
    return kind(f"{no_s3(endpoint)}: it answered {said} without an error code of S3; correct AWS_ENDPOINT_URL_S3")


def no_s3(endpoint: str) -> str:
    """The beginning of a sentence about a response that S3 would not send."""
    return f"the server at {endpoint} is not S3"


def unanswered(error: BotoCoreError, endpoint: str) -> StoreError:
    """The error for a request that got no response, or was never sent."""
    cause = _line(str(error))
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return StoreError("no S3 credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if isinstance(error, SSLError):
        return _unsafe(cause, endpoint)
    if isinstance(error, ProxyConnectionError):
        return _no_tunnel(error, endpoint)
    if isinstance(error, BotoConnectionError | HTTPClientError | IncompleteReadError):
        return StoreUnavailableError(
            f"S3 at {endpoint} does not answer{through_proxy(endpoint)} ({type(error).__name__}); is it running, and "
            "is AWS_ENDPOINT_URL_S3 right?"
        )
    return StoreError(f"S3 request failed: {cause}")


def _no_tunnel(error: ProxyConnectionError, endpoint: str) -> StoreError:
    """The error for a tunnel that the proxy refused, which TLS through a proxy needs first."""
    refusal = re.search(r"Tunnel connection failed: (\d+[^'\")]*)", str(error.kwargs.get("error", "")))
    why = f"refuses a tunnel to S3 at {endpoint} ({refusal[1].strip()})" if refusal else "does not answer"
    kind = StoreError if refusal and refusal[1].startswith("4") else StoreUnavailableError
    return kind(f"the proxy {proxy_for(endpoint)} {why}; {_PROXY}")


def _unsafe(cause: str, endpoint: str) -> StoreError:
    reason = re.search(r"certificate verify failed: [^()]*|\[SSL[^\]]*\] [^()]*", cause)
    if "CERTIFICATE_VERIFY_FAILED" in cause or "WRONG_VERSION_NUMBER" in cause:
        return StoreError(
            f"can't trust the TLS connection to S3 at {endpoint} ({_line(reason[0]) if reason else cause}); set "
            "AWS_CA_BUNDLE to the file of its certificate authority, or correct AWS_ENDPOINT_URL_S3 (http, not https?)"
        )
    return StoreUnavailableError(f"the TLS connection to S3 at {endpoint} was interrupted ({cause}); retry")


def _line(text: object) -> str:
    """A server's message, for use within our sentence."""
    return " ".join(str(text).split()).replace("; ", ", ").rstrip(".;")[:300]
