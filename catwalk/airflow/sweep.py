"""The DAG that sweeps a recipe's parameters: plan → train each trial → choose → test → decide, for the best only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Param, TriggerRule, chain, dag, get_current_context, task

from catwalk.airflow.tasks import (
    DEFAULT_ARGS,
    PROMOTIONS,
    SETTINGS,
    TRAINING_TIMEOUT,
    ReportLink,
    announce,
    begins,
    documentation,
    of_callers_file,
    open_ledger,
    param,
    publish_run,
    run_id_of,
)
from catwalk.knobs import described, field_docs, knobs
from catwalk.stages.sweeps.search import MAX_TRIALS, SearchConfig, Trial
from catwalk.trainable import Trainable, find

if TYPE_CHECKING:
    from catwalk.ledger.records.run import Stage
    from catwalk.ledger.runs import Run

_SEARCH_SCHEMAS: dict[str, dict[str, Any]] = {
    "space": {"type": "object"},
    "search": {"type": "string", "enum": ["grid", "random"]},
    "trials": {"type": "integer", "minimum": 1, "maximum": MAX_TRIALS},
    "search_seed": {"type": ["null", "integer"]},
}


def sweep_dag(trainable: Trainable | str, *, dag_id: str, space: Mapping[str, Any], doc: str = "") -> DAG:
    """The DAG that sweeps over one model's knobs, for a DAG file to assign to a name. It has no schedule.

    Args:
        trainable: The Trainable, or its reference, ``package.module:NAME``.
        dag_id: Its permanent name: run ids are derived from it.
        space: The default search space (see :class:`catwalk.stages.sweeps.search.SearchConfig`).
        doc: Its description in Airflow, in Markdown.

    Raises:
        ConfigError: The Trainable doesn't exist.
    """
    model = find(trainable) if isinstance(trainable, str) else trainable

    @dag(
        dag_id=dag_id,
        schedule=None,
        max_active_runs=4,
        is_paused_upon_creation=False,
        params={**_search_params(space), **{knob.name: param(knob) for knob in knobs(model.config)}},
        default_args={**DEFAULT_ARGS, "priority_weight": 1, "weight_rule": "absolute"},
        tags=["sweep"],  # not "catwalk", whose DAGs are watched because retraining depends on them
        doc_md=documentation(doc),
    )
    def sweep() -> None:
        trials, trained = _trained(model)
        linked = [trained, test(), decide(), publish.expand(trial=trials).as_teardown()]
        for stage in linked:
            stage.operator.operator_extra_links = (SweepReportLink(),)
        chain(trained, choose(trials), *linked[1:])

    return of_callers_file(sweep())


def _trained(model: Trainable) -> tuple[Any, Any]:
    """The tasks that need the model, in the DAG that is being built: the plan of the trials, and their training."""

    @task
    def plan() -> list[Trial]:
        """Plans what each trial varies; invalid settings fail here, before any training."""
        return _plan(model)

    @task(
        execution_timeout=TRAINING_TIMEOUT,
        max_active_tis_per_dag=SETTINGS.sweep_parallel,
        map_index_template="{{ trial }}",
    )
    def train(trial: Trial) -> None:
        """Opens the trial's run, finds or stores its dataset by content hash, and trains it."""
        _train(model, trial)

    trials: Any = plan()
    return trials, train.expand(trial=trials)


@task(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
def choose(trials: list[Trial]) -> str:
    """Waits for all trials to end, and chooses the best finished one by validation."""
    from catwalk.stages.sweeps.choice import choose

    dag_run = get_current_context()["dag_run"]
    of_runs = {run_id_of(dag_run, index): trial for index, trial in enumerate(trials)}
    return choose(open_ledger()[0], _sweep_id(), of_runs).winner


@task
def test() -> None:
    """Scores the chosen trial on the test examples."""
    _run_winner("test")


@task(outlets=[PROMOTIONS])
def decide() -> None:
    """Ships or holds the chosen trial; a ship is an event of the asset that deployments wait for."""
    announce(_run_winner("decide"))


@task(map_index_template="{{ trial }}")
def publish(trial: Trial) -> None:
    """Records how the trial ended, sends its points again and writes its report, whatever happened before."""
    get_current_context()["trial"] = described(trial)  # type: ignore[typeddict-unknown-key]
    publish_run(_own_run_id())


def _search_params(space: Mapping[str, Any]) -> dict[str, Param]:
    default, docs = SearchConfig(dict(space)), field_docs(SearchConfig)
    return {
        name: Param(getattr(default, name), title=name, description=docs[name], section="sweep", **schema)
        for name, schema in _SEARCH_SCHEMAS.items()
    }


def _base() -> dict[str, Any]:
    """The DAG run's knobs, which a trial's own values override."""
    return {name: value for name, value in get_current_context()["params"].items() if name not in _SEARCH_SCHEMAS}


def _plan(trainable: Trainable) -> list[Trial]:
    """The knobs that each trial varies; the same in every task."""
    search = SearchConfig(**{name: get_current_context()["params"][name] for name in _SEARCH_SCHEMAS})
    return search.plan(trainable.config, _base(), _sweep_id())


def _sweep_id() -> str:
    return run_id_of(get_current_context()["dag_run"])


def _own_run_id() -> str:
    """The trial's run id, in a task that is mapped over the trials."""
    context = get_current_context()
    return run_id_of(context["dag_run"], context["ti"].map_index)


def _train(trainable: Trainable, trial: Trial) -> None:
    """Opens a trial's run and trains it; the run records the number of trials and their length."""
    from catwalk.stages.lifecycle.opening import open_run
    from catwalk.stages.pipeline import STAGE_FUNCTIONS

    context = get_current_context()
    context["trial"] = described(trial)  # type: ignore[typeddict-unknown-key]
    dag_run, base = context["dag_run"], _base()
    config, *trials = (trainable.config.from_flat({**base, **one}) for one in (trial, *_plan(trainable)))
    origin = dag_run.dag_id, dag_run.run_id, _sweep_id()
    ledger, observer = open_ledger()
    begun = begins(dag_run)
    run = open_run(ledger, _own_run_id(), trainable, config, "sweep", *origin, trials, observer, begins=begun)
    run.update_summary(lambda summary: replace(summary, sweep_wait=SETTINGS.sweep_wait_seconds))
    for stage in ("ingest", "train"):
        STAGE_FUNCTIONS[stage](run, observer)


def _run_winner(stage: Stage) -> Run:
    """Runs a stage of the chosen trial."""
    from catwalk.ledger.sweep import winner
    from catwalk.stages.pipeline import STAGE_FUNCTIONS

    ledger, observer = open_ledger()
    run = winner(ledger, _sweep_id())
    STAGE_FUNCTIONS[stage](run, observer)
    return run


class SweepReportLink(ReportLink):
    """A link to the task's own trial, or to the chosen one."""

    def run_id(self, task_instance: Any) -> str:
        from catwalk.ledger.sweep import winner

        if task_instance.map_index >= 0:
            return super().run_id(task_instance)
        sweep_id = run_id_of(task_instance.get_template_context()["dag_run"])
        return winner(open_ledger()[0], sweep_id).run_id
