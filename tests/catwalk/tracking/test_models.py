"""Models: known before their first run, retired, and renamed."""

from __future__ import annotations

import re
import time
from html import unescape
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import catwalk
from catwalk.cli.commands.alerts import _concerns
from catwalk.errors import ConfigError
from catwalk.gate.promotion import promote_by_hand, rollback
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.models.watched import watched
from catwalk.ledger.records.model import ChampionRecord
from catwalk.ledger.runs import Ledger
from catwalk.ledger.summaries import Summaries
from catwalk.storage.file_store import FileStore
from catwalk.tracking import closing, opening, renaming
from catwalk.tracking.arguments.keys import salt_key
from catwalk.tracking.renaming import rename
from catwalk.web.values import due_text
from catwalk_exporter.exposition import Exposition, Facts, Settings
from catwalk_exporter.pages import models
from catwalk_exporter.pages.view import View
from catwalk_exporter.snapshot import LedgerReader, Snapshot
from tests.catwalk.tracking.conftest import KEYS, LABELS, scores
from tests.support.commands import command_line
from tests.support.ledgers import put_summary, summary


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs the `catwalk` command on the test's ledger, as Ada on the machine of a nightly cron job."""
    monkeypatch.setenv("CATWALK_SHIP", "1")
    monkeypatch.setenv("CATWALK_BY", "ada")
    return command_line(capfd, monkeypatch, tmp_path)


def trained(model: str = "churn", noise: float = 0.1, **options: Any) -> Any:
    with catwalk.run(model, catwalk.Binary(), **options) as run:
        run.model(b"weights")
        run.test(LABELS, scores(noise), keys=KEYS)
    return run


def exposed(ledger: Ledger) -> str:
    """Returns what the exporter exports now."""
    told: list[Snapshot] = []
    LedgerReader(ledger.store).read(time.time(), told.append)
    assert not told[-1].damaged
    return Exposition(Settings()).render(Facts(told[-1], True, {}, None, time.time())).decode()


def due(ledger: Ledger, model: str) -> dict[str, float]:
    """Family → when the model's next run, and its next successful one, are due."""
    lines = [line for line in exposed(ledger).splitlines() if "_run_due_" in line and f'model="{model}"' in line]
    return {line.partition("{")[0]: float(line.split()[-1]) for line in lines}


def test_a_model_is_due_before_its_first_run(command: Any, ledger: Ledger) -> None:
    done = command("models", "add", "churn", "--every", "24h", "--owner", "growth")
    assert (done.code, done.err) == (0, "") and "its first run is due" in done.out
    known = watched(ledger.store, "churn")
    assert known and (known.schedule, known.owner, known.by) == ("every 24 h", "growth", "ada")
    found = due(ledger, "churn")
    assert found["catwalk_next_run_due_timestamp_seconds"] == pytest.approx(known.changed + 86_400)
    assert found["catwalk_good_run_due_timestamp_seconds"] == pytest.approx(known.changed + 2 * 86_400)
    assert "waits for its first run" in command("models").out
    run = trained(cron="0 3 * * * Europe/Berlin")
    known = watched(ledger.store, "churn")
    assert known and (known.run_id, known.by, known.schedule) == (run.run_id, "", "0 3 * * * Europe/Berlin")
    assert [old["owner"] for old in known.history] == ["growth"]
    assert len(due(ledger, "churn")) == 2


def test_a_persons_settings_hold_if_runs_set_none(command: Any, ledger: Ledger) -> None:
    command("models", "add", "churn", "--every", "24h", "--owner", "growth")
    for options, owner, schedule in (
        ({}, "growth", "every 24 h"),
        ({"owner": "risk"}, "risk", "every 24 h"),
        ({"cron": "0 3 * * *"}, "growth", "0 3 * * *"),
        ({}, "growth", "every 24 h"),
    ):
        trained(**options)
        said = all_ways(command, ledger, "churn")
        assert (said["owner"], said["schedule"]) == (owner, schedule) and said["next due"]
    command("models", "rename", "churn", "attrition")
    trained("attrition")
    assert all_ways(command, ledger, "attrition")["owner"] == "growth"
    command("models", "retire", "attrition")
    command("models", "add", "attrition", "--owner", "desk")
    trained("attrition")
    said = all_ways(command, ledger, "attrition")
    assert (said["owner"], said["schedule"], said["next due"]) == ("desk", "", "")


@pytest.mark.parametrize("arguments", [("retire", ""), ("rename", "", "x"), ("rename", "x", ""), ("add", "")])
def test_an_invalid_name_is_one_line(command: Any, arguments: tuple[str, ...]) -> None:
    done = command("models", *arguments)
    assert (done.code, done.out, len(done.err.splitlines())) == (1, "", 1)
    assert "model: expected a name" in done.err and "'' is not one" in done.err


def test_a_persons_schedule_holds_as_long_as_runs_set_none(command: Any) -> None:
    def schedule() -> str:
        (row,) = command("models", "--json").json()
        return str(row["schedule"])

    command("models", "add", "churn", "--every", "24h")
    for said, holds in (("", "every 24 h"), ("6h", "every 6 h"), ("", "every 24 h")):
        trained(every=said)
        assert schedule() == holds
    trained(every="1h", ship="never")
    assert schedule() == "every 24 h", "a run that ships nothing sets nothing for its model"


def test_an_owner_is_named_in_a_line(command: Any, ledger: Ledger) -> None:
    """The owner is part of the name of a folder of receivers."""
    command("models", "add", "churn", "--owner", " team\nml ")
    known = watched(ledger.store, "churn")
    assert known and known.owner == "team ml"
    trained(owner="cafe\u0301  ml\t")
    known = watched(ledger.store, "churn")
    assert known and known.owner == "caf\u00e9 ml"
    assert _concerns("cafe\u0301", {"owner": "caf\u00e9"}) and not _concerns("cafe", {"owner": "caf\u00e9"})


def test_a_retired_model_is_not_due_until_a_scheduled_run_begins(command: Any, ledger: Ledger) -> None:
    first = trained(every="24h")
    assert due(ledger, "churn")
    assert command("models", "retire", "churn").code == 0
    assert not due(ledger, "churn")
    known, champion = watched(ledger.store, "churn"), Champions(ledger.store).get("churn")
    assert known and (known.by, known.schedule, known.owner) == ("ada", "every 24 h", "")
    assert [old["run_id"] for old in known.history] == [first.run_id]
    assert champion and champion[0].run_id == first.run_id and ledger.run(first.run_id).decision()
    assert "retired on" in command("models").out
    trained(every="24h")
    assert due(ledger, "churn") and "retired" not in command("models").out


def test_a_run_by_hand_hides_no_scheduled_one_that_brought_a_model_back(command: Any, ledger: Ledger) -> None:
    """For example, runs of a Trainable, which set nothing for their model."""
    put_summary(ledger.store, summary())
    assert command("models", "retire", "mlp").code == 0
    assert "retired on" in command("models").out
    for number, trigger in enumerate(("schedule", "manual"), 2):
        started = time.time() + number
        run_id = f"20261124T03000{number}Z-00000001"
        put_summary(ledger.store, summary(run_id, trigger=trigger, started=started))
    assert "retired" not in command("models").out


@pytest.mark.parametrize("kind", ["logged", "of a Trainable"])
def test_a_retired_model_has_no_series_that_an_alert_reads(kind: str, command: Any, ledger: Ledger) -> None:
    """The results of its runs stay, for as long as those of any run."""
    if kind == "logged":
        trained(every="24h")
    else:
        ended = time.time() - 13 * 3_600
        of_stages = summary(model="churn", decision="ship", started=ended - 60, updated=ended, finished=ended)
        put_summary(ledger.store, of_stages)
        champion = ChampionRecord("churn", of_stages.run_id, "5" * 64, time.time(), "", of_stages.run_id, "gate", "ok")
        ledger.store.put_record("champions/churn.json", champion)
    trained("other")
    before, role = exposed(ledger), 'role="latest"'
    assert re.search(r'^catwalk_champion_info{model="churn"', before, re.MULTILINE) and before.count(role) > 10
    assert command("models", "retire", "churn").code == 0
    text = exposed(ledger)
    told = {line.partition("{")[0] for line in text.splitlines() if 'model="churn"' in line}
    kept = (
        "catwalk_model_info|catwalk_(run|stage|decision|gate)_|catwalk_decisions_total|"
        "catwalk_last_(success|run_started|decision)_timestamp_seconds"
    )
    assert not [name for name in told if not re.match(kept, name)], told
    assert re.search(r'^catwalk_champion_info{model="other"', text, re.MULTILINE) and role in text


def test_a_models_old_name_misses_no_champion(command: Any, ledger: Ledger) -> None:
    run = trained(every="24h")
    assert command("models", "rename", "churn", "attrition").code == 0
    told = exposed(ledger)
    assert f'catwalk_model_version_info{{model="attrition",role="champion",run_id="{run.run_id}"}}' in told
    assert 'catwalk_model_version_info{model="churn"' not in told and 'runs_since_ship{model="churn"' not in told


def told(ledger: Ledger, family: str) -> dict[str, float]:
    """Labels → value, as the exporter shows a family."""
    lines = [line for line in exposed(ledger).splitlines() if line.startswith(family + "{")]
    return {line.partition("{")[2].rpartition("}")[0]: float(line.split()[-1]) for line in lines}


def described(model: str, kind: str, owner: str, schedule: str, retired: str = "false", dag_id: str = "") -> str:
    return f'dag_id="{dag_id}",kind="{kind}",model="{model}",owner="{owner}",retired="{retired}",schedule="{schedule}"'


def test_the_exporter_describes_each_model(command: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    command("models", "add", "tickets", "--every", "24h", "--owner", "desk")
    ended = time.time() - 86_400
    put_summary(ledger.store, summary(started=ended, updated=ended, finished=ended))
    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "nightly")
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "scheduled__1")
    trained(every="24h", owner="growth")
    expected = {
        described("tickets", "", "desk", "every 24 h"),
        described("mlp", "multiclass", "", "0 3 * * *", dag_id="fashion_training"),
    }
    churn = described("churn", "binary", "growth", "every 24 h", dag_id="nightly")
    assert told(ledger, "catwalk_model_info") == dict.fromkeys({*expected, churn}, 1)
    command("models", "retire", "churn")
    assert set(told(ledger, "catwalk_model_info")) == {*expected, churn.replace("false", "true")}
    command("models", "rename", "tickets", "desk")
    assert described("desk", "", "desk", "every 24 h") in told(ledger, "catwalk_model_info")
    assert not [labels for labels in told(ledger, "catwalk_model_info") if 'model="tickets"' in labels]


NIGHTLY = "0 3 * * *"
SAYS = ("kind", "owner", "schedule", "next due")


def shown(ledger: Ledger, snapshot: Snapshot, now: float) -> dict[str, dict[str, str]]:
    """Model → what the exporter's page shows about it."""
    told: dict[str, dict[str, str]] = {}
    for card in models.page(View(snapshot, Settings(since=now), now, store_up=True)).split("<h3")[1:]:
        facts = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]*)</dd>", card))
        told[unescape(card.partition(">")[2].partition("<")[0])] = {
            name: unescape(facts.get(name, "")) for name in SAYS
        }
    return told


def labelled(text: str, family: str) -> dict[str, tuple[dict[str, str], float]]:
    """Model → labels and value of a family."""
    samples = [sample for found in text_string_to_metric_families(text) for sample in found.samples]
    return {sample.labels["model"]: (sample.labels, sample.value) for sample in samples if sample.name == family}


def all_ways(command: Any, ledger: Ledger, model: str) -> dict[str, str]:
    """The state of a model and when it is due, which the command line, the page and Prometheus must agree on."""
    told: list[Snapshot] = []
    now = time.time()
    LedgerReader(ledger.store).read(now, told.append)
    text = Exposition(Settings(since=now)).render(Facts(told[-1], True, {}, None, now)).decode()
    (row,) = [row for row in command("models", "--json").json() if row["model"] == model]
    said = {"kind": row["problem"], "owner": row["owner"], "schedule": row["schedule"]}
    said["next due"] = due_text(row["due"], now)
    assert shown(ledger, told[-1], now)[model] == said
    due, listed = labelled(text, "catwalk_next_run_due_timestamp_seconds"), command("models").out
    assert due_text(due[model][1] if model in due else None, now) == said["next due"]
    assert {*said["next due"].split()} <= {*listed.split()}
    info = labelled(text, "catwalk_model_info")
    if row["renamed_to"]:
        assert model not in info
    else:
        assert {name: info[model][0].get(name, "") for name in ("kind", "owner", "schedule")} == {
            name: said[name] for name in ("kind", "owner", "schedule")
        }
        assert info[model][0]["retired"] == str(not row["in_use"]).lower()
    return said


def test_a_run_that_never_ships_sets_nothing_for_its_model(
    command: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(owner="growth", cron="0 5 * * *", links={"code": "https://example.org/a"})
    before = all_ways(command, ledger, "churn")
    assert (before["owner"], before["schedule"]) == ("growth", "0 5 * * *") and before["next due"]
    monkeypatch.delenv("CATWALK_SHIP")
    trained(owner="somebody", every="10 min", links={"code": "https://example.org/b"}, ship="never")
    assert all_ways(command, ledger, "churn") == before
    (row,) = command("models", "--json").json()
    assert row["links"] == {"code": "https://example.org/a"}


def test_the_state_of_a_model_and_when_it_is_due_are_the_same_everywhere(command: Any, ledger: Ledger) -> None:
    command("models", "add", "tickets", "--every", "24h", "--owner", "desk")
    assert all_ways(command, ledger, "tickets") | {"next due": ""} == {
        "kind": "", "owner": "desk", "schedule": "every 24 h", "next due": "",
    }  # fmt: skip
    assert all_ways(command, ledger, "tickets")["next due"]
    began = time.time() - 3 * 86_400
    put_summary(ledger.store, summary(started=began, updated=began + 60, finished=began + 60))
    mlp = all_ways(command, ledger, "mlp")
    assert (mlp["kind"], mlp["schedule"]) == ("multiclass", NIGHTLY)
    assert mlp["next due"] == f"overdue since {time.strftime('%Y-%m-%d', time.gmtime(began + 86_400))} 03:00 UTC" or (
        time.gmtime(began).tm_hour < 3  # due on the day on which it began
    )
    by_hand = summary("20261123T040000Z-00000002", model="shapes", dag_id="shapes", trigger="manual", started=began)
    put_summary(ledger.store, by_hand)
    shapes = all_ways(command, ledger, "shapes")
    assert (shapes["schedule"], shapes["next due"][-9:]) == (NIGHTLY, "03:00 UTC") and "overdue" not in str(shapes)
    trained(every="24h", owner="growth")
    churn = all_ways(command, ledger, "churn")
    command("models", "rename", "churn", "attrition")
    assert all_ways(command, ledger, "churn") == {**churn, "next due": ""}
    attrition = all_ways(command, ledger, "attrition")
    assert attrition["next due"] and {**attrition, "next due": ""} == {**churn, "next due": ""}
    command("models", "retire", "mlp")
    assert all_ways(command, ledger, "mlp") == {**mlp, "next due": ""}


def test_a_model_that_is_added_again_owes_no_runs_from_its_retirement(command: Any, ledger: Ledger) -> None:
    began = time.time() - 30 * 86_400
    put_summary(ledger.store, summary(model="churn", started=began, updated=began + 60, finished=began + 60))
    assert "overdue since" in command("models").out
    command("models", "retire", "churn")
    command("models", "add", "churn", "--every", "24h")
    known = watched(ledger.store, "churn")
    assert known and due(ledger, "churn")["catwalk_next_run_due_timestamp_seconds"] == pytest.approx(
        known.changed + 86_400
    )
    assert "overdue" not in command("models").out


def test_the_exporter_exports_a_models_own_limits(command: Any, ledger: Ledger) -> None:
    trained(thresholds={"auc": 0.8, "margin": 0.01, "champion_age_seconds": 90 * 86_400, "runs_blocked": 5})
    trained("other")
    assert told(ledger, "catwalk_threshold") == {
        f'model="churn",name="{name}"': value
        for name, value in {"auc": 0.8, "margin": 0.01, "champion_age_seconds": 7_776_000, "runs_blocked": 5}.items()
    }


def test_a_retired_model_may_be_added_again(command: Any, ledger: Ledger) -> None:
    assert command("models", "add", "churn", "--every", "24h").code == 0
    assert command("models", "retire", "churn").code == 0
    assert not due(ledger, "churn")
    assert command("models", "add", "churn", "--every", "24h").code == 0
    assert due(ledger, "churn")


def test_under_its_new_name_a_model_competes_with_what_shipped_under_the_old_one(command: Any, ledger: Ledger) -> None:
    first, second = trained(noise=0.3, every="24h"), trained(noise=0.1, every="24h")
    done = command("models", "rename", "churn", "attrition")
    assert (done.code, done.err) == (0, "") and "attrition" in done.out
    with pytest.raises(ConfigError, match=r"model: churn was renamed to attrition on .*; use that name"):
        catwalk.run("churn", catwalk.Binary())
    assert Champions(ledger.store).models() == ["attrition"]
    assert not due(ledger, "churn") and due(ledger, "attrition")
    assert f'catwalk_model_version_info{{model="attrition",role="champion",run_id="{second.run_id}"}}' in exposed(
        ledger
    )
    worse = trained("attrition", noise=0.3)
    assert (worse.decision.reason, worse.decision.champion) == ("worse", second.run_id)
    assert command("show", second.run_id).code == 0
    assert command("runs", "--model", "churn", "--json").out.count('"run_id"') == 2
    back = rollback(ledger.store, "attrition", "ada", "tried")
    assert (back.model, back.run_id) == ("attrition", first.run_id)
    forth = promote_by_hand(ledger.run(second.run_id), "ada", "good")
    assert forth.model == "attrition" and Champions(ledger.store).models() == ["attrition"]
    listed = {row["model"]: row for row in command("models", "--json").json()}
    assert listed["churn"]["state"].startswith("renamed to attrition") and listed["churn"]["runs"] == 2
    assert listed["attrition"]["state"] == "in use, formerly churn" and listed["attrition"]["champion"] == second.run_id


def test_a_retired_model_stays_retired_under_its_new_name(command: Any, ledger: Ledger) -> None:
    trained(every="24h")
    command("models", "retire", "churn")
    command("models", "rename", "churn", "attrition")
    assert not due(ledger, "attrition")
    trained("attrition", every="24h")
    assert due(ledger, "attrition")


def test_a_rename_does_not_make_a_person_the_author_of_the_codes_limits(command: Any, ledger: Ledger) -> None:
    trained(thresholds={"runs_blocked": 5})
    command("models", "rename", "churn", "attrition")
    assert limits_of(ledger, "attrition") == {"runs_blocked": 5}
    assert ledger.run(trained("attrition").run_id).record.thresholds == {}
    assert limits_of(ledger, "attrition") == {}


def test_a_persons_limits_survive_a_rename(command: Any, ledger: Ledger) -> None:
    command("models", "add", "churn", "--threshold", "runs_blocked=5")
    command("models", "rename", "churn", "attrition")
    trained("attrition")
    assert limits_of(ledger, "attrition") == {"runs_blocked": 5}


def test_a_model_that_is_added_again_keeps_its_kind_and_links(command: Any, ledger: Ledger) -> None:
    trained(links={"code": "https://example.org/a"})
    for arguments in (("retire", "churn"), ("add", "churn"), ("rename", "churn", "attrition")):
        assert command("models", *arguments).code == 0
    known = watched(ledger.store, "attrition")
    assert known and known.problem["kind"] == "binary" and known.links == {"code": "https://example.org/a"}


def test_under_its_new_name_a_test_that_is_too_small_is_reported(command: Any, ledger: Ledger) -> None:
    """The keys of both names have the same salt."""

    def small(model: str) -> Any:
        with catwalk.run(model, catwalk.Binary()) as run:
            run.model(b"weights")
            run.test(LABELS[:60], scores(0.1)[:60], keys=KEYS[:60])
        return run

    small("churn"), command("models", "rename", "churn", "attrition")
    said = str(ledger.run(small("attrition").run_id).decision())
    assert "60 of 60 test examples are in both test sets" in said, said


def test_a_run_of_a_model_that_was_renamed_twice_is_promoted_under_the_last_name(command: Any, ledger: Ledger) -> None:
    first, second = trained(noise=0.3), trained(noise=0.1)
    for old, new in (("churn", "attrition"), ("attrition", "leaving")):
        assert command("models", "rename", old, new).code == 0
    assert promote_by_hand(ledger.run(first.run_id), "ada", "tried").previous == second.run_id
    assert Champions(ledger.store).models() == ["leaving"]
    assert rollback(ledger.store, "churn", "ada", "no").run_id == second.run_id


@pytest.mark.parametrize("writes", range(5))
def test_an_interrupted_rename_is_completed_by_the_next(
    writes: int, ledger: Ledger, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(every="24h")
    left = count(writes, -1)

    def bounded(change: Any) -> Any:
        def changed(*arguments: Any, **options: Any) -> Any:
            if not next(left):
                raise KeyboardInterrupt
            return change(*arguments, **options)

        return changed

    with monkeypatch.context() as patch:
        for name in ("put", "delete"):
            patch.setattr(FileStore, name, bounded(getattr(FileStore, name)))
        with pytest.raises(KeyboardInterrupt):
            rename(ledger.store, "churn", "attrition", "ada")
    rename(ledger.store, "churn", "attrition", "ada")
    champion, known = Champions(ledger.store).get("attrition"), watched(ledger.store, "attrition")
    assert champion and (champion[0].model, champion[0].run_id) == ("attrition", run.run_id)
    assert known and (known.schedule, known.formerly, known.renamed_to, known.retired) == (
        "every 24 h", "churn", "", 0.0,
    )  # fmt: skip
    salts = [ledger.store.get(salt_key(name)).body for name in ("churn", "attrition")]
    assert salts[0] == salts[1]


def test_of_a_rename_and_a_run_that_opens_at_the_same_moment_one_sees_the_other(
    command: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise, the run could promote under the old name, where no one looks."""
    run = trained()
    opened = opening._opened

    def renamed_meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(opening, "_opened", opened)
        rename(ledger.store, "churn", "attrition", "ada")
        return opened(*arguments)

    monkeypatch.setattr(opening, "_opened", renamed_meanwhile)
    with pytest.raises(ConfigError, match=r"model: churn was renamed to attrition on .*; use that name"):
        trained()
    assert list(ledger.store.list("open_runs/")) == []
    assert [summary.run_id for summary in Summaries(ledger.store).read()] == [run.run_id]

    change = renaming.watched.change

    def opened_meanwhile(store: Any, model: str, *arguments: Any) -> None:
        if model == "attrition":
            store.put(closing.open_key(model, run.run_id), b"")
        change(store, model, *arguments)

    with monkeypatch.context() as race:
        race.setattr(renaming.watched, "change", opened_meanwhile)
        with pytest.raises(ConfigError, match=rf"run {run.run_id} of attrition is open; close it, .* and rename again"):
            rename(ledger.store, "attrition", "leaving", "ada")
    assert Champions(ledger.store).models() == ["attrition"]
    ledger.store.delete(closing.open_key("attrition", run.run_id))
    rename(ledger.store, "attrition", "leaving", "ada")
    assert Champions(ledger.store).models() == ["leaving"]


def test_retiring_a_known_model_reads_no_summary(command: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(every="24h")
    put_summary(ledger.store, summary(model="mlp"))
    with monkeypatch.context() as unread:
        unread.setattr(Summaries, "read", lambda *arguments: pytest.fail("summaries were read"))
        assert command("models", "retire", "churn").code == 0
    assert command("models", "retire", "mlp").code == 0, "a Trainable's model that never shipped has summaries alone"
    assert command("models", "retire", "lost").code == 1


def test_an_impossible_change_is_one_line(command: Any, ledger: Ledger) -> None:
    trained("other")
    for arguments, told in (
        (("add", "a/b"), "model: expected a name"),
        (("add", "churn", "--cron", "0 3 * * * Berlin"), "cron: there is no time zone 'Berlin'"),
        (("retire", "churn"), "there is no model churn; `catwalk models` lists them"),
        (("rename", "churn", "x"), "there is no model churn; `catwalk models` lists them"),
    ):
        done = command("models", *arguments)
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1) and told in done.err
    trained()
    for arguments, told in (
        (("add", "churn"), "churn is already watched"),
        (("rename", "churn", "other"), "the name other is taken"),
        (("rename", "churn", "churn"), "the name churn is taken"),
    ):
        done = command("models", *arguments)
        assert (done.code, done.err.count("\n")) == (1, 1) and told in done.err
    with catwalk.run("other", catwalk.Binary()):
        assert "of other is open; close it, or `catwalk finish" in command("models", "rename", "other", "third").err
    assert command("models", "retire", "churn").code == 0
    assert "churn is already retired" in command("models", "retire", "churn").err
    for name in ("add", "retire", "rename"):
        assert "MODEL" in command("models", name, "--help").out


def limits_of(ledger: Ledger, model: str) -> dict[str, float]:
    """Name → limit, as the exporter exports it."""
    said = f'model="{model}",name='
    return {key.partition(said)[2].strip('"'): value for key, value in told(ledger, "catwalk_threshold").items()}


def test_a_persons_limits_hold_until_a_run_sets_its_own(command: Any, ledger: Ledger) -> None:
    given = "--threshold", "runs_blocked=5", "--threshold", "schedule_grace_seconds=7200"
    done = command("models", "add", "churn", *given, "--reason", "its data comes late")
    assert (done.code, done.err) == (0, "")
    by_hand = {"runs_blocked": 5.0, "schedule_grace_seconds": 7200.0}
    assert limits_of(ledger, "churn") == by_hand
    for _ in range(2):
        run = trained(every="24h")
        record = ledger.run(run.run_id).record
        assert record.thresholds == {"limits": by_hand}
        assert record.threshold_reasons == dict.fromkeys(by_hand, "its data comes late")
        assert limits_of(ledger, "churn") == by_hand
        assert command("show", run.run_id).out.count("its data comes late") == 2
    trained(every="24h", thresholds={"runs_blocked": (7, "tried"), "auc": 0.5})
    assert limits_of(ledger, "churn") == {"runs_blocked": 7, "auc": 0.5}
    assert ledger.run(trained(every="24h").run_id).record.thresholds == {}
    assert limits_of(ledger, "churn") == {}


def test_invalid_limits_are_one_line_and_add_no_model(command: Any, ledger: Ledger) -> None:
    for arguments, said in (
        (("--threshold", "auc=0.8"), "thresholds: expected limits of alerts: loss_growth"),
        (("--threshold", "runs_blocked=-1"), "thresholds['runs_blocked']: expected a number of at least 0; got -1"),
        (("--threshold", "runs_blocked=nan"), "--threshold: expected name=number, such as runs_blocked=5; got"),
        (
            ("--threshold", "runs_blocked"),
            "--threshold: expected name=number, such as runs_blocked=5; got 'runs_blocked'",
        ),
        (
            ("--threshold", "runs_blocked=5", "--threshold", "runs_blocked=6"),
            "--threshold: expected each name once; got runs_blocked twice",
        ),
        (("--reason", "why"), "--reason explains a --threshold; give one"),
    ):
        done = command("models", "add", "churn", *arguments)
        assert (done.code, done.out) == (1, "") and said in done.err and len(done.err.splitlines()) == 1, done.err
    assert watched(ledger.store, "churn") is None
