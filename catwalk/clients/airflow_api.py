"""Airflow's REST API, with the user of the environment."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPException
from typing import Any

from catwalk.environment.proxies import fetch_part
from catwalk.errors import CatwalkError

TAG = "catwalk"
"""Tag that distinguishes our DAGs from others of the same Airflow."""
CHAMPION_ASSET = "catwalk_champion"
"""Asset that gets an event when any model goes into service; kept for one release beside the assets of the models."""
_TIMEOUT = 30.0
_LONGEST_DETAIL = 2_000
"""Maximum number of bytes to read of a response with a reason."""
_PAUSES = (0.5, 1.0, 2.0)
"""Seconds between attempts of a GET that failed inside Airflow: a busy Airflow's SQLite is sometimes locked."""


def champion_assets(model: str) -> tuple[str, str]:
    """Names of the assets that get an event when a model goes into service: its own, and that of all models.

    The model is percent-encoded, because an Airflow on MySQL accepts only ASCII: a name in another script would fail
    the task that put the model into service.
    """
    return f"{CHAMPION_ASSET}_{urllib.parse.quote(model, safe='')}", CHAMPION_ASSET


class AirflowError(CatwalkError):
    """Airflow doesn't answer, or refuses a request."""


class AirflowFaultError(AirflowError):
    """An error inside Airflow; a retry may help."""


class AirflowRefusedError(AirflowError):
    """Airflow refuses a request."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
        """The status of the response, 4xx."""


def _detail(error: urllib.error.HTTPError) -> str:
    """Airflow's reason for a refusal, to append to its status; without invalid values, which may be secret."""
    try:
        detail = json.loads(error.read(_LONGEST_DETAIL))["detail"]
        said = detail if isinstance(detail, str) else "; ".join(one["msg"] for one in detail)
    except (OSError, ValueError, HTTPException, KeyError, TypeError):
        return ""
    return f" ({' '.join(said.split())})" if said else ""


@dataclass
class AirflowApi:
    """One Airflow. It logs in at the first request, and keeps the token."""

    url: str
    user: str
    password: str = field(repr=False)

    @classmethod
    def at(cls, url: str) -> AirflowApi | None:
        """An Airflow by URL, as `CATWALK_AIRFLOW_USER` (admin) with `CATWALK_AIRFLOW_PASSWORD`; None without it."""
        password = os.environ.get("CATWALK_AIRFLOW_PASSWORD", "")
        user = os.environ.get("CATWALK_AIRFLOW_USER") or "admin"
        return cls(url.rstrip("/"), user, password) if url and password else None

    @classmethod
    def from_environment(cls) -> AirflowApi | None:
        """The Airflow of `CATWALK_AIRFLOW_URL`; None without that or without a password."""
        return cls.at(os.environ.get("CATWALK_AIRFLOW_URL", ""))

    def request(self, method: str, path: str, body: object = None) -> Any:
        """The JSON response to a request below ``/api/v2/``.

        Raises:
            AirflowError: There is no response, or not a 2xx one.
        """
        return self._send(method, f"/api/v2/{path}", body, f"Bearer {self._token}")

    @cached_property
    def _token(self) -> str:
        login = {"username": self.user, "password": self.password}
        return str(self._part(self._send("POST", "/auth/token", login), "access_token"))

    def _send(self, method: str, path: str, body: object, authorization: str = "") -> Any:
        data = None if body is None else json.dumps(body).encode()
        for pause in _PAUSES if method == "GET" else ():
            try:
                return self._answer(method, path, data, authorization)
            except AirflowFaultError:
                time.sleep(pause)
        return self._answer(method, path, data, authorization)

    def _answer(self, method: str, path: str, data: bytes | None, authorization: str) -> Any:
        try:
            request = urllib.request.Request(
                f"{self.url}{path}", data, {"Content-Type": "application/json"}, method=method
            )
            if authorization:
                request.add_unredirected_header("Authorization", authorization)
            return json.loads(fetch_part(request, _TIMEOUT) or b"null")
        except urllib.error.HTTPError as error:
            if error.code >= 500:
                raise AirflowFaultError(
                    f"Airflow at {self.url} answered {path} with {error.code}; see its log"
                ) from error
            remedy = "; correct CATWALK_AIRFLOW_USER and CATWALK_AIRFLOW_PASSWORD" if error.code in (401, 403) else ""
            message = f"Airflow at {self.url} answered {path} with {error.code}{_detail(error)}{remedy}"
            raise AirflowRefusedError(message, error.code) from error
        except (OSError, ValueError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise AirflowError(f"Airflow at {self.url} does not answer ({reason}); is it running?") from error

    def _part(self, answer: Any, name: str) -> Any:
        try:
            return answer[name]
        except (KeyError, TypeError):
            raise AirflowError(
                f"the server at {self.url} is not Airflow 3: its response has no {name}; correct CATWALK_AIRFLOW_URL"
            ) from None

    def dags(self) -> dict[str, dict[str, Any]]:
        """DAG id → Airflow's data on it, for the DAGs with Catwalk's tag.

        Raises:
            AirflowError: See :meth:`request`.
        """
        return {dag["dag_id"]: dag for dag in self._part(self.request("GET", f"dags?tags={TAG}"), "dags")}

    def announce(self, champion: Mapping[str, str]) -> None:
        """Posts an event of the champion's assets, if a DAG waits for them or has produced them.

        Args:
            champion: The event's data; `model` is its model.

        Raises:
            AirflowError: See :meth:`request`.
        """
        for name in champion_assets(champion["model"]):
            like = urllib.parse.quote(name.replace("%", "_"))  # matches any character; the name itself comes first
            pattern = f"name_pattern={like}&order_by=name"
            assets = self._part(self.request("GET", f"assets?only_active=false&{pattern}"), "assets")
            for known in [asset["id"] for asset in assets if asset["name"] == name]:
                self.request("POST", "assets/events", {"asset_id": known, "extra": dict(champion)})
