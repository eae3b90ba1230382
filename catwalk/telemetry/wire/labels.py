"""Label values that survive StatsD: one form of each name, equal on every way to Prometheus.

statsd_exporter carries UTF-8 in InfluxDB-style tags. Only what its dialects give a meaning to is escaped, as in a URL
(``a:b`` becomes ``a%3Ab``), so that two names never become one and each can be read back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

_UNSAFE = re.compile(r"[%,:=|#\[\]\x00-\x1f\x7f\ud800-\udfff]")
"""The escape itself, separators of StatsD's dialects, control characters, and lone surrogates, which UTF-8 has not."""


@lru_cache(maxsize=4_096)
def label_value(text: str) -> str:
    """A name as the value of a label; :func:`urllib.parse.unquote` with ``errors="surrogatepass"`` is the inverse."""
    return _UNSAFE.sub(lambda found: quote(found[0], safe="", errors="surrogatepass"), text)


def label_values(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels as Prometheus has them. An empty one is left out: to Prometheus it is none, to StatsD an error."""
    return {name: label_value(value) for name, value in labels.items() if value}
