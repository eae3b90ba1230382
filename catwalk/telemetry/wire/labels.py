"""Label values that survive StatsD: one form of each name, the same for every transport to Prometheus.

statsd_exporter carries UTF-8 in InfluxDB-style tags. Only characters with a meaning in its dialects are escaped, as in
a URL (``a:b`` becomes ``a%3Ab``), so that different names stay different and each can be read back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

_UNSAFE = re.compile(r"[%,:=|#\[\]\x00-\x1f\x7f\ud800-\udfff]")
"""The escape character, separators of StatsD's dialects, control characters, and lone surrogates, which UTF-8 can't
encode.
"""


@lru_cache(maxsize=4_096)
def label_value(text: str) -> str:
    """Returns a name as the value of a label; :func:`urllib.parse.unquote` with ``errors="surrogatepass"`` is the
    inverse.
    """
    return _UNSAFE.sub(lambda found: quote(found[0], safe="", errors="surrogatepass"), text)


def label_values(labels: Mapping[str, str]) -> dict[str, str]:
    """Returns labels as Prometheus stores them, without empty ones, which are no label to Prometheus and an error to
    StatsD.
    """
    return {name: label_value(value) for name, value in labels.items() if value}
