"""Settings that had another name in the release before. They are still read under that in this one."""

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
"""Name of before → name of now."""


def under_new_names(environment: Mapping[str, str], where: str | None = "the environment") -> dict[str, str]:
    """An environment in which each setting has its name of now, which wins where both are set.

    Args:
        environment: name → value.
        where: in what its owner can change it, who is told so once; None: nobody has to.
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
    """Says what to change, once a process; `differ`: both names are set, to different values."""
    if differ:
        log.warning("%s and %s differ in %s; %s counts. Remove %s, its name of before", new, old, where, new, old)
    else:
        log.warning("%s is called %s now; rename it in %s, for only this release still reads it", old, new, where)
