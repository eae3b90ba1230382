"""Couriers that request the retraining of one model: its ledger, an Alertmanager, and the Airflow that a test names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from catwalk.ledger.records.retraining import RetrainingSettings, SlotRecord
from catwalk.notifications.receivers import EVERYBODY, Channels
from catwalk.retraining import slots
from catwalk.retraining.events import TurnedOn
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from tests.support.notifying import Alertmanager, CourierProcess, notification
from tests.support.small_airflow import DAG


class Requesting:
    """A model that alerts may retrain, and the couriers that look after it."""

    def __init__(self, folder: Path, airflow: Mapping[str, str], model: str = "churn", dag_id: str = DAG) -> None:
        """
        Args:
            folder: for everything that is written.
            airflow: the environment of a process that connects to Airflow.
            model: the model.
            dag_id: the DAG that retrains it.
        """
        self.folder, self.model, self._airflow = folder, model, airflow
        (folder / "ledger").mkdir(parents=True)
        self.store: Store = open_store((folder / "ledger").as_uri())
        (folder / "alertmanager").mkdir()
        self.alertmanager = Alertmanager(folder / "alertmanager", {EVERYBODY: Channels()}, "http://127.0.0.1:1")
        self.couriers: list[CourierProcess] = []
        slots.change(self.store, model, TurnedOn(RetrainingSettings(dag_id=dag_id), "ann"))

    @property
    def alert(self) -> dict[str, str]:
        """Labels of the alert that requests it."""
        labels = {"model": self.model, "retrain": "yes", "severity": "warning"}
        return {"alertname": "ServiceInputDrifted", **labels}

    def notification(self) -> dict[str, object]:
        """What Alertmanager tells a courier of that alert."""
        labels = {name: value for name, value in self.alert.items() if name != "alertname"}
        return notification("ServiceInputDrifted", **labels)

    def courier(self, name: str, *program: str, **environment: str) -> CourierProcess:
        """A courier that looks five times a second."""
        home = self.folder / name
        home.mkdir(exist_ok=True)
        settings = {"CATWALK_STORE": self.store.url, "CATWALK_RETRAINING_SECONDS": "0.2"}
        settings |= {"CATWALK_ALERTMANAGER_URL": self.alertmanager.url, **self._airflow, **environment}
        courier = CourierProcess(home, *program, **settings)
        self.couriers.append(courier)
        return courier

    @property
    def slot(self) -> SlotRecord:
        found = slots.find(self.store, self.model)
        assert found
        return found[0]

    def judged(self) -> bool:
        """Whether a retraining that did not help has been judged."""
        return self.slot.state == "cooling"

    def stop(self) -> None:
        for courier in self.couriers:
            if courier.process.poll() is None:
                courier.kill()
        self.alertmanager.stop()


def shown(courier: CourierProcess, state: str, model: str = "churn") -> float:
    """The series of a state."""
    name = f'catwalk_retraining_state{{model="{model}",state="{state}"}} '
    return next(float(line[len(name) :]) for line in courier.get("/metrics").splitlines() if line.startswith(name))
