"""Settings that were renamed in the previous release. This release still reads their old names."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache

log = logging.getLogger("catwalk.settings")

RENAMED = {
    "CATWALK_PORT_REGISTRY": "CATWALK_PORT_EXPORTER",
    "CATWALK_REGISTRY_URL": "CATWALK_EXPORTER_URL",
    "CATWALK_REGISTRY_PUBLIC_URL": "CATWALK_EXPORTER_PUBLIC_URL",
}
"""Old name → new name."""


def under_new_names(environment: Mapping[str, str], where: str | None = "the environment") -> dict[str, str]:
    """An environment in which each setting has its new name, which wins if both are set.

    Args:
        environment: Name → value.
        where: The place where its owner can change it, for a warning that is logged once; None for no warning.
    """
    found = dict(environment)
    for old, new in RENAMED.items():
        value = found.pop(old, "")
        if value and where is not None:
            tell(old, new, where, found.get(new) not in (None, "", value))
        if value and not found.get(new):
            found[new] = value
    return found


@cache
def tell(old: str, new: str, where: str, differ: bool) -> None:
    """Logs what to change, once per process; `differ` means that both names are set, to different values."""
    if differ:
        log.warning("%s and %s differ in %s; %s is used. Remove %s, its old name", new, old, where, new, old)
    else:
        log.warning(
            "%s is now called %s; rename it in %s, because only this release still reads the old name", old, new, where
        )
