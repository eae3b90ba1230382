"""Celery workers, if the stack's owner has chosen CeleryExecutor, with their own PostgreSQL and Redis.

`local.env` in the stack's home configures them: Airflow's executor, `AIRFLOW__DATABASE__SQL_ALCHEMY_CONN`,
`AIRFLOW__CELERY__RESULT_BACKEND` and `AIRFLOW__CELERY__BROKER_URL`; `CATWALK_WORKERS` replaces the two names here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from stack.settings import Settings, StackError, own_settings

NAMES = "worker-a,worker-b"
CONCURRENCY = 2
"""How many tasks a worker runs at once."""
_ANSWER_SECONDS = 2.0


def find(settings: Settings) -> Iterator[tuple[str, list[str], Callable[[], bool]]]:
    """Yields part name, arguments for `airflow`, and health check of each worker; none if tasks run in the scheduler.

    Raises:
        StackError: no broker is set.
    """
    own = own_settings(settings.home)
    if own.get("AIRFLOW__CORE__EXECUTOR") != "CeleryExecutor":
        return
    broker = own.get("AIRFLOW__CELERY__BROKER_URL")
    if not broker:
        raise StackError(
            f"{settings.home / 'local.env'} sets CeleryExecutor; set AIRFLOW__CELERY__BROKER_URL there too"
        )
    for name in dict.fromkeys(map(str.strip, (own.get("CATWALK_WORKERS") or NAMES).split(","))):
        if not re.fullmatch(r"[\w.-]+", name, re.ASCII):
            raise StackError(f"CATWALK_WORKERS must be names joined by commas such as {NAMES}, not {name!r}")
        node = f"{name}@localhost"
        # Its log server would listen on every interface; on one machine the API server reads the files itself.
        flags = ["celery", "worker", "--celery-hostname", node, "--concurrency", str(CONCURRENCY), "--skip-serve-logs"]
        yield f"airflow-{name}", flags, _answers(broker, node)


def _answers(broker: str, node: str) -> Callable[[], bool]:
    """Returns a check that asks a worker over Redis, like Celery's own `inspect ping`."""

    def healthy() -> bool:
        # Both are slow to import, and few stacks have workers.
        from celery import Celery
        from kombu.exceptions import KombuError

        with Celery(broker=broker) as app:
            try:
                return bool(app.control.inspect(destination=[node], timeout=_ANSWER_SECONDS).ping())
            except (OSError, KombuError):
                return False

    return healthy
