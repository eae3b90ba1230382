"""Settings of the caller that must not affect the parts of a stack: proxies, and another S3's settings."""

from __future__ import annotations

import os
from collections.abc import Mapping

from catwalk.environment.addresses import PORTS
from catwalk.environment.proxies import without_proxy


def no_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """`NO_PROXY` for programs that connect to the parts in an environment, including the caller's own entries."""
    urls = [environment.get(f"CATWALK_{part.upper()}_URL", "") for part in PORTS]
    return without_proxy(os.environ | environment, urls)


def other_s3_settings(environment: Mapping[str, str]) -> list[str]:
    """The caller's `AWS_` variables that an environment does not set."""
    return [name for name in os.environ if name.startswith("AWS_") and name not in environment]


def become_client(environment: Mapping[str, str]) -> None:
    """Gives this process the environment of a stack's client, and removes the caller's settings for another S3."""
    for name in other_s3_settings(environment):
        del os.environ[name]
    os.environ.update(environment)
