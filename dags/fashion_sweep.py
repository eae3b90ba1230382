"""Tries a recipe's parameters: plan → train, once a trial → choose by validation → test → decide, for the best alone.

Each trial is a run of its own in the ledger. The test split is looked at once, for the trial that was chosen; if the
gate lets it, it ships. A trial that fails leaves the others alone. Never scheduled. At most `CATWALK_SWEEP_PARALLEL`
trials train at once, over all sweeps, and any other task comes first: the nightly retraining need not wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, TriggerRule, chain, dag, get_current_context, task

from catwalk.airflow.tasks import (
    DEFAULT_ARGS,
    PROMOTIONS,
    SETTINGS,
    TRAINING_TIMEOUT,
    ReportLink,
    announce,
    documentation,
    open_ledger,
    param,
    publish_run,
    run_id_of,
)
from catwalk.knobs import field_docs, knobs
from catwalk.stages.search import MAX_TRIALS, SearchConfig, Trial, described
from ml.fashion_mnist.config import RunConfig

if TYPE_CHECKING:
    from catwalk.ledger.records import Stage
    from catwalk.ledger.runs import Run


def _search_params() -> dict[str, Param]:
    schemas: dict[str, dict[str, Any]] = {
        "space": {"type": "object"},
        "search": {"type": "string", "enum": ["grid", "random"]},
        "trials": {"type": "integer", "minimum": 1, "maximum": MAX_TRIALS},
        "search_seed": {"type": ["null", "integer"]},
    }
    default, docs = SearchConfig(), field_docs(SearchConfig)
    return {
        name: Param(getattr(default, name), title=name, description=docs[name], section="sweep", **schema)
        for name, schema in schemas.items()
    }


SEARCH_PARAMS = _search_params()


def _base() -> dict[str, Any]:
    """The knobs that all trials share, but for those that vary."""
    return {name: value for name, value in get_current_context()["params"].items() if name not in SEARCH_PARAMS}


def _plan() -> list[Trial]:
    """What each trial varies; the same in every task."""
    search = SearchConfig(**{name: get_current_context()["params"][name] for name in SEARCH_PARAMS})
    return search.plan(_base(), _sweep_id())


def _sweep_id() -> str:
    return run_id_of(get_current_context()["dag_run"])


def _own_run_id() -> str:
    """The trial's run, in a task that is mapped over the trials."""
    context = get_current_context()
    return run_id_of(context["dag_run"], context["ti"].map_index)


def _run_winner(stage: Stage) -> Run:
    """Runs a stage of the trial that was chosen."""
    from catwalk.ledger.sweep import winner
    from catwalk.stages.pipeline import STAGE_FUNCTIONS

    ledger, observer = open_ledger()
    run = winner(ledger, _sweep_id())
    STAGE_FUNCTIONS[stage](run, observer)
    return run


class SweepReportLink(ReportLink):
    """Leads to the task's own trial, or to the one that was chosen."""

    def run_id(self, task_instance: Any) -> str:
        from catwalk.ledger.sweep import winner

        if task_instance.map_index >= 0:
            return super().run_id(task_instance)
        sweep_id = run_id_of(task_instance.get_template_context()["dag_run"])
        return winner(open_ledger()[0], sweep_id).run_id


@dag(
    schedule=None,
    max_active_runs=4,
    is_paused_upon_creation=False,
    params={**SEARCH_PARAMS, **{knob.name: param(knob) for knob in knobs(RunConfig)}},
    default_args={**DEFAULT_ARGS, "priority_weight": 1, "weight_rule": "absolute"},
    tags=["sweep"],  # not "catwalk", which is watched: without those DAGs nothing is retrained
    doc_md=documentation(__doc__),
)
def fashion_sweep() -> None:
    @task
    def plan() -> list[Trial]:
        """Says what each trial varies; nonsense fails here, before anything is trained."""
        return _plan()

    @task(
        execution_timeout=TRAINING_TIMEOUT,
        max_active_tis_per_dag=SETTINGS.sweep_parallel,
        map_index_template="{{ trial }}",
    )
    def train(trial: Trial) -> None:
        """Opens the trial's run, finds or stores its dataset by content hash, and trains."""
        from catwalk.stages.pipeline import STAGE_FUNCTIONS, open_run

        context = get_current_context()
        context["trial"] = described(trial)  # type: ignore[typeddict-unknown-key]
        dag_run = context["dag_run"]
        base = _base()
        config, trials = (
            RunConfig.from_flat({**base, **trial}),
            [RunConfig.from_flat({**base, **one}) for one in _plan()],
        )
        origin = dag_run.dag_id, dag_run.run_id, _sweep_id()
        ledger, observer = open_ledger()
        run = open_run(ledger, _own_run_id(), config, "sweep", *origin, trials, observer)
        for stage in ("ingest", "train"):
            STAGE_FUNCTIONS[stage](run, observer)

    @task(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    def choose(trials: list[Trial]) -> str:
        """Waits for all trials to end, and chooses the best by validation of those that have finished."""
        from catwalk.stages.sweep import choose

        dag_run = get_current_context()["dag_run"]
        of_runs = {run_id_of(dag_run, index): trial for index, trial in enumerate(trials)}
        return choose(open_ledger()[0], _sweep_id(), of_runs).winner

    @task
    def test() -> None:
        """Scores the chosen trial on the test images."""
        _run_winner("test")

    @task(outlets=[PROMOTIONS])
    def decide() -> None:
        """Ships the chosen trial or holds it; a ship is an event of the asset that deployments wait for."""
        announce(_run_winner("decide"))

    @task(map_index_template="{{ trial }}")
    def publish(trial: Trial) -> None:
        """Says how the trial ended, sends its points once more and writes its report, whatever happened before."""
        get_current_context()["trial"] = described(trial)  # type: ignore[typeddict-unknown-key]
        publish_run(_own_run_id())

    trials = plan()
    stages = [train.expand(trial=trials), choose(trials), test(), decide(), publish.expand(trial=trials).as_teardown()]
    for stage in (stage for stage in stages if stage.operator.task_id != "choose"):
        stage.operator.operator_extra_links = (SweepReportLink(),)
    chain(*stages)


fashion_sweep()
