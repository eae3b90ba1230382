"""An episode's run: who requested it, and which run it gets."""

from __future__ import annotations

from catwalk.errors import PreconditionFailedError
from catwalk.ledger.records.retraining import ClaimRecord, RequestRecord
from catwalk.retraining import slots
from catwalk.retraining.run_ids import PREFIX, dag_run_id
from catwalk.storage.store import Store


def asked_for(store: Store, model: str, run: str) -> RequestRecord | None:
    """The episode that requested a DAG run; None: a person or the schedule started it.

    Args:
        store: The store that holds the ledger.
        model: The model that the DAG trains.
        run: The DAG run's id.
    """
    if not run.startswith(PREFIX):
        return None
    found = slots.find(store, model)
    known = [*found[0].history, found[0].episode] if found else []
    # Airflow may also have a run by the own id of an episode that has adopted a scheduled run.
    return next((one for one in known if one and run in (one.dag_run_id, dag_run_id(model, one.number))), None)


def claim(store: Store, model: str, number: int, wanted: ClaimRecord) -> bool:
    """Claims an episode for a run of the ledger; False: another run has it. A retry finds its own claim."""
    try:
        store.put_record(_key(model, number), wanted, create=True)
    except PreconditionFailedError:
        return claimed(store, model, number) == wanted
    return True


def claimed(store: Store, model: str, number: int) -> ClaimRecord | None:
    """The run that has an episode; None: none has begun."""
    found = store.find_record(ClaimRecord, _key(model, number))
    return found[0] if found else None


def _key(model: str, number: int) -> str:
    return f"episodes/{model}/{number}/claim"
