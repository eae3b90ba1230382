"""Grafana's HTTP API, as far as Catwalk needs it: a thin layer over grafana-api.

That package is archived, and its traps are known: annotations carry tags but no dashboard's uid, errors of the network
come as exceptions of requests, and it must be told a timeout.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from catwalk.environment import urls
from catwalk.errors import CatwalkError, ConfigError

TIMEOUT = 10.0


class GrafanaError(CatwalkError):
    """Grafana did not answer, or refused. Trying again later may help."""


class GrafanaRefusedError(GrafanaError):
    """Grafana understood and will never do this."""


class Grafana:
    """One Grafana, seen through a service account's token."""

    def __init__(self, url: str, token: str) -> None:
        """
        Args:
            url: where it answers, such as ``http://127.0.0.1:3000`` or ``https://host/grafana``.
            token: of a service account that may write annotations (role Editor).

        Raises:
            ConfigError: the URL is none.
        """
        from grafana_api.grafana_face import GrafanaFace
        from requests.adapters import HTTPAdapter

        try:
            parts = urlsplit(urls.checked(url))
        except ValueError:
            complaint = f"CATWALK_GRAFANA_URL must be a URL such as http://127.0.0.1:3000, not {url!r}"
            raise ConfigError(complaint) from None
        path, host = parts.path.strip("/"), parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        self.url = url.rstrip("/")
        self._face: Any = GrafanaFace(
            auth=token,
            host=host,
            port=parts.port,
            protocol=parts.scheme,
            url_path_prefix=f"{path}/" if path else "",
            timeout=TIMEOUT,
        )

        # A part is asked without a proxy. What requests finds in the environment goes before a session's own settings,
        # so it has to be dropped last.
        class Direct(HTTPAdapter):
            def send(self, *request: Any, **settings: Any) -> Any:
                return super().send(*request, **{**settings, "proxies": {}})

        for scheme in ("http://", "https://"):
            self._face.api.s.mount(scheme, Direct())

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Grafana | None:
        """The Grafana of `CATWALK_GRAFANA_URL` and `CATWALK_GRAFANA_TOKEN`; None unless both are set.

        Raises:
            ConfigError: the URL is none.
        """
        url, token = environment.get("CATWALK_GRAFANA_URL", ""), environment.get("CATWALK_GRAFANA_TOKEN", "")
        return cls(url, token) if url and token else None

    def version(self) -> str:
        """Its version, once it is healthy.

        Raises:
            GrafanaError: it isn't.
        """
        health = self._ask(lambda: self._face.api.GET("/health"))  # grafana-api has no call of its own for this
        if health.get("database") != "ok":
            raise GrafanaError(f"Grafana at {self.url} has trouble with its database; see its log")
        return str(health.get("version") or "unknown")

    def dashboards(self) -> set[str]:
        """The uids of the dashboards that the token may see.

        Raises:
            GrafanaError: it does not say.
        """
        found = self._ask(lambda: self._face.search.search_dashboards(limit=5000))
        return {str(entry["uid"]) for entry in found if entry.get("type") == "dash-db"}  # folders are found too

    def annotate(self, text: str, tags: Sequence[str], start: float, end: float | None = None) -> None:
        """Writes an annotation for all dashboards that ask for one of its tags.

        Args:
            text: may hold HTML that Grafana considers harmless.
            tags: what dashboards choose by.
            start: Unix time.
            end: Unix time; None for a point in time.

        Raises:
            GrafanaRefusedError: it is malformed.
            GrafanaError: it was not written.
        """
        times = {"time_from": round(1000 * start), "time_to": None if end is None else round(1000 * end)}
        self._ask(lambda: self._face.annotations.add_annotation(**times, tags=list(tags), text=text))

    def annotated(self, tag: str) -> bool:
        """Whether an annotation with this tag exists.

        Args:
            tag: of characters that need no escape in a URL, since grafana-api does not escape them.

        Raises:
            GrafanaError: it does not say.
        """
        return bool(self._ask(lambda: self._face.annotations.get_annotation(tags=[tag], limit=1)))

    def _ask(self, request: Callable[[], Any]) -> Any:
        from grafana_api.grafana_api import GrafanaBadInputError, GrafanaException
        from requests import RequestException

        try:
            return request()
        except GrafanaBadInputError as error:
            raise GrafanaRefusedError(f"Grafana at {self.url}: {error}") from error
        except GrafanaException as error:
            known = {401: "; correct CATWALK_GRAFANA_TOKEN", 403: "; its service account needs the role Editor"}
            raise GrafanaError(f"Grafana at {self.url}: {error}{known.get(error.status_code, '')}") from error
        except RequestException as error:
            raise GrafanaError(f"Grafana at {self.url} does not answer; is it running?") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise GrafanaError(f"what answers at {self.url} does not speak as Grafana does") from error
