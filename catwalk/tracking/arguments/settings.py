"""A run's settings from its caller, checked and prepared for storage: a few short plain values, without secrets."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping
from typing import Any

from catwalk.environment.schedule import Schedule, span, zone
from catwalk.errors import ConfigError, InputError, shown
from catwalk.gate.config import LIMITS
from catwalk.gate.limits import Threshold, check_not_negative, parted
from catwalk.ledger.model_names import spelling
from catwalk.problems.interface import Problem
from catwalk.redaction import REDACTED, is_secret, is_secret_option, without_credentials
from catwalk.tracking.arguments import plain
from catwalk.tracking.arguments.plain import mapping

log = logging.getLogger(__name__)

MOST_PARAMS = 200
LONGEST_VALUE = 500
"""Maximum number of characters of a value."""
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
"""The address in the default repr of an object."""
_MOST_BITS = 1_600
"""Maximum number of bits of an integer: 480 digits, fewer than the characters of a value."""
_OWN = ("margin", "significance", "slice_significance")
_MOST_SIGNIFICANCE = 0.5


def stored_params(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Parameters in the form of run.json; those over the limit are left out, with a warning.

    Raises:
        InputError: They are not a dict, or one of them can't be written as text or a number.
    """
    try:
        flat = _flat("", mapping("params", params, "name → value"))
    except RecursionError:
        raise InputError(
            "params: expected finite values; got one that contains itself, or is nested hundreds of levels deep"
        ) from None
    if len(flat) > MOST_PARAMS:
        log.warning("params: kept the first %d of %d", MOST_PARAMS, len(flat))
    return dict(list(flat.items())[:MOST_PARAMS])


def _flat(above: str, values: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{above}{_name(key)}"[:LONGEST_VALUE]
        if is_secret(_name(key)):
            found[name] = REDACTED
        elif isinstance(value, Mapping):
            found |= _flat(f"{name}.", value)
        elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
            found |= _flat(f"{name}.", dict(enumerate(value)))
        else:
            found[name] = _written(name, value)
    return found


def _name(key: Any) -> str:
    try:
        return _encodable(str(key))
    except Exception as error:
        raise InputError(f"params: expected names as text; got {shown(key)}") from error


def _written(name: str, value: Any) -> Any:
    try:
        return _plain(value)
    except RecursionError:
        raise
    except Exception as error:  # whatever a user's own class raises in its repr
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"params[{name!r:.60}]: expected a number or text; got {shown(value)} ({why:.100})") from error


def _plain(value: Any) -> Any:
    """A value for JSON: numbers, booleans and short text unchanged, anything else as text.

    It is the same in each process, or a retry would seem to have other parameters.
    """
    found = value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value
    found = sorted(found, key=repr) if isinstance(found, set | frozenset) else found
    if isinstance(found, int) and found.bit_length() > _MOST_BITS:
        raise ValueError("an integer may have at most 480 digits")
    if found is None or isinstance(found, bool | int) or (isinstance(found, float) and math.isfinite(found)):
        return found
    if isinstance(found, list | tuple) and all(isinstance(item, bool | int | float | str) for item in found):
        listed = [
            REDACTED if is_secret_option(before, item) else _plain(item)
            for before, item in zip(["", *found], found, strict=False)
        ]
        return listed if len(json.dumps(listed)) <= LONGEST_VALUE else _text(str(listed))
    return _text(found if isinstance(found, str) else _ADDRESS.sub("", str(found)))


def _text(text: str) -> str:
    clean = without_credentials(_encodable(text))
    return clean if len(clean) <= LONGEST_VALUE else f"{clean[: LONGEST_VALUE - 1]}…"


def _encodable(text: str) -> str:
    """The text without lone surrogates, which UTF-8 can't encode."""
    return text.encode("utf-8", "replace").decode()


def stored_owner(owner: str) -> str:
    """An owner's name in its canonical spelling, on one line, without surrounding space, like a folder of receivers.

    Raises:
        InputError: It is not text.
    """
    return " ".join(spelling(_encodable(plain.text("owner", owner))).split())[:LONGEST_VALUE]


def stored_links(links: Mapping[str, str] | None) -> dict[str, str]:
    """
    Raises:
        InputError: They are not a dict of name → URL.
    """
    found = mapping("links", links, "name → URL")
    for name, url in found.items():
        if not isinstance(url, str) or not re.match(r"https?://", url):
            raise InputError(f"links[{name!r}]: expected a URL, http:// or https://; got {shown(url)}")
        if len(url) > LONGEST_VALUE:
            raise InputError(f"links[{name!r}]: expected at most {LONGEST_VALUE} characters; got {len(url):,}")
    return {_text(str(name)): _text(url) for name, url in found.items()}


def schedule(every: str, cron: str) -> str:
    """A model's schedule, as :meth:`catwalk.environment.schedule.Schedule.of` reads it; empty if there is none.

    Raises:
        ConfigError: It is invalid, or both are given.
    """
    if every and cron:
        raise ConfigError("every and cron: give only one of them")
    if every:
        return str(Schedule("", _span(every)))
    return str(_cron(str(cron))) if cron else ""


def _cron(text: str) -> Schedule:
    found = Schedule.of(text)
    if found.cron:
        return found
    *fields, named = text.split() or [""]
    if len(fields) == 5:
        try:
            zone(named)
        except ConfigError as error:
            raise ConfigError(f"cron: {error}") from None
    raise ConfigError(
        "cron: expected five cron fields with a next time, such as '0 3 * * *', in UTC or followed by a time zone, "
        "such as '0 3 * * * Europe/Berlin'; got {shown(text)}"
    )


def _span(every: str) -> float:
    seconds = span(str(every))
    if not seconds:
        raise ConfigError(f"every: expected a duration such as '24h', '90 min' or '7d'; got {shown(every)}")
    return seconds


def stored_thresholds(given: Mapping[str, Threshold] | None, problem: Problem) -> dict[str, Any]:
    """Thresholds in the form of :class:`catwalk.gate.config.Thresholds`: limits for alerts, floors for metrics.

    Raises:
        InputError: One is neither a number nor a number with its reason, is out of range, or is for a metric that the
            problem doesn't have.
    """
    metrics = [metric.name for metric in problem.metrics]
    found: dict[str, Any] = {"floors": {}} if given else {}
    for name, threshold in mapping("thresholds", given, "metric → number").items():
        value, _ = parted(name, threshold)
        if name not in (*metrics, *_OWN, *LIMITS):
            raise InputError(
                f"thresholds: expected a metric ({', '.join(metrics)}), {', '.join(_OWN)}, or a limit of alerts "
                f"({', '.join(LIMITS)}); got {name!r}"
            )
        _check_range(name, value)
        group = found if name in _OWN else found.setdefault("limits" if name in LIMITS else "floors", {})
        group[name] = value
    return found


def stored_reasons(given: Mapping[str, Threshold] | None) -> dict[str, str]:
    """Name of a threshold → its reason, if it has one.

    Raises:
        InputError: See :func:`stored_thresholds`.
    """
    reasons = {name: parted(name, threshold)[1] for name, threshold in (given or {}).items()}
    return {name: _text(reason) for name, reason in reasons.items() if reason}


def _check_range(name: str, value: float) -> None:
    """Checks the range now: otherwise a level such as 5, for 5 %, would fail only after the training."""
    if name in ("significance", "slice_significance") and not 0 < value <= _MOST_SIGNIFICANCE:
        raise InputError(
            f"thresholds[{name!r}]: expected a level above 0 and up to {_MOST_SIGNIFICANCE}; got {value:g}"
        )
    if name in ("margin", *LIMITS):
        check_not_negative(name, value)
