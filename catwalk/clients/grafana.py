"""The part of Grafana's HTTP API that Catwalk uses: a thin layer over grafana-api.

That package is archived, and its traps are known: annotations have tags but no dashboard uid, network errors are raised
as exceptions of requests, and it needs an explicit timeout.
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
    """Grafana did not answer, or refused a request. A later retry may help."""


class GrafanaRefusedError(GrafanaError):
    """Grafana refused a request; a retry can't help."""


class Grafana:
    """One Grafana, with a service account's token."""

    def __init__(self, url: str, token: str) -> None:
        """
        Args:
            url: Its URL, such as ``http://127.0.0.1:3000`` or ``https://host/grafana``.
            token: The token of a service account that may write annotations (role Editor).

        Raises:
            ConfigError: The URL is invalid.
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

        # Parts are requested without a proxy. In requests, proxies from the environment override a session's own
        # settings, so they must be dropped last.
        class Direct(HTTPAdapter):
            def send(self, *request: Any, **settings: Any) -> Any:
                return super().send(*request, **{**settings, "proxies": {}})

        for scheme in ("http://", "https://"):
            self._face.api.s.mount(scheme, Direct())

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Grafana | None:
        """The Grafana of `CATWALK_GRAFANA_URL` and `CATWALK_GRAFANA_TOKEN`; None unless both are set.

        Raises:
            ConfigError: The URL is invalid.
        """
        url, token = environment.get("CATWALK_GRAFANA_URL", ""), environment.get("CATWALK_GRAFANA_TOKEN", "")
        return cls(url, token) if url and token else None

    def version(self) -> str:
        """Grafana's version, if it is healthy.

        Raises:
            GrafanaError: It isn't.
        """
        health = self._ask(lambda: self._face.api.GET("/health"))  # grafana-api has no method for this
        if health.get("database") != "ok":
            raise GrafanaError(f"Grafana at {self.url} reports a problem with its database; see its log")
        return str(health.get("version") or "unknown")

    def dashboards(self) -> set[str]:
        """The uids of the dashboards that the token can see.

        Raises:
            GrafanaError: It doesn't answer.
        """
        found = self._ask(lambda: self._face.search.search_dashboards(limit=5000))
        return {
            str(entry["uid"]) for entry in found if entry.get("type") == "dash-db"
        }  # the search returns folders too

    def annotate(self, text: str, tags: Sequence[str], start: float, end: float | None = None) -> None:
        """Writes an annotation for all dashboards that select one of its tags.

        Args:
            text: The text, with HTML that Grafana considers safe.
            tags: The tags by which dashboards select it.
            start: Unix time.
            end: Unix time; None for a point in time.

        Raises:
            GrafanaRefusedError: It is malformed.
            GrafanaError: It was not written.
        """
        times = {"time_from": round(1000 * start), "time_to": None if end is None else round(1000 * end)}
        self._ask(lambda: self._face.annotations.add_annotation(**times, tags=list(tags), text=text))

    def annotated(self, tag: str) -> bool:
        """Whether an annotation with this tag exists.

        Args:
            tag: A tag of characters that need no escape in a URL, because grafana-api doesn't escape them.

        Raises:
            GrafanaError: It doesn't answer.
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
            raise GrafanaError(
                f"the server at {self.url} does not answer like Grafana; correct CATWALK_GRAFANA_URL"
            ) from error
