"""The `catwalk` command as users run it: text, JSON, errors in one line, exit codes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ml.champion import Champions
from ml.config import knobs
from ml.runs import Run
from ml.store import Store
from monitoring.cli import main
from tests.monitoring.ledgers import make_run, put_summary, summary
from tests.servers import wait_until

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).resolve().parents[2]
FIRST, SECOND = "20261122T030000Z-00000001", "20261123T030000Z-00000002"
SMALL = [
    "--source",
    "synthetic",
    "--epochs",
    "2",
    "--train-examples",
    "200",
    "--validation-examples",
    "100",
    "--hidden",
    "8",
    "--threads",
    "1",
]


class Done:
    """What a command has written, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def catwalk(s3_store: Store, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("CATWALK_HOME", str(tmp_path / "home"))

    def run(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as stop:
            main(list(arguments))
        out, err = capfd.readouterr()
        return Done(int(stop.value.code or 0), out, err)

    return run


def process(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "monitoring.cli", *arguments]
    return subprocess.Popen(
        command, cwd=PROJECT, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def one_line(done: Done, text: str) -> None:
    """A mistake or a mishap: one line on stderr, nothing on stdout, exit code 1."""
    assert done.code == 1, done.err
    assert done.out == ""
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith("catwalk: ")
    assert text in done.err


def test_every_knob_is_a_flag_with_its_help(catwalk: Any) -> None:
    help_text = " ".join(catwalk("run", "--help").out.replace("│", " ").split())
    for knob in knobs():
        assert f"--{knob.name.replace('_', '-')} " in help_text
        assert knob.help.split(".")[0][:30] in help_text


def test_help_starts_fast_and_imports_nothing_heavy() -> None:
    code = "import sys\nfrom monitoring.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += (
        "assert not {'torch', 'boto3', 'airflow', 'matplotlib', 'PIL', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, capture_output=True, timeout=60)


def test_runs_and_show_need_no_torch(s3_store: Store) -> None:
    make_run(s3_store, FIRST, time.time())
    code = "import sys\nfrom monitoring.cli import main\nfor arguments in (['runs'], ['show', 'latest']):\n"
    code += "    try: main(arguments)\n    except SystemExit as stop: assert not stop.code, stop.code\n"
    code += "assert not {'torch', 'airflow', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, capture_output=True, timeout=60)


def test_runs_lists_the_newest_first(catwalk: Any, s3_store: Store) -> None:
    assert "no runs yet" in catwalk("runs").out
    assert catwalk("runs", "--json").json() == []
    put_summary(s3_store, summary(FIRST))
    put_summary(s3_store, summary(SECOND, state="failed", decision="", test_accuracy=None, model="[bold]x"))
    text = catwalk("runs").out
    assert text.index(SECOND) < text.index(FIRST)
    assert "[bold]x" in text and "16/18" in text and "90.10" in text and "ship floor reached" in text
    assert [run["run_id"] for run in catwalk("runs", "--limit", "1", "--json").json()] == [SECOND]
    assert "1 older: --limit 2" in catwalk("runs", "--limit", "1").out


def test_runs_can_be_chosen_sorted_grouped_and_written_as_csv(catwalk: Any, s3_store: Store) -> None:
    put_summary(s3_store, summary(FIRST, test_accuracy=0.91))
    put_summary(s3_store, summary(SECOND, test_accuracy=0.89))
    best = ("runs", "--where", "test_accuracy > 0.88", "--where", "state = succeeded", "--sort", "-test_accuracy")
    assert [run["run_id"] for run in catwalk(*best, "--json").json()] == [FIRST, SECOND]
    assert "1 more: --limit 2" in catwalk(*best, "--limit", "1").out
    assert (
        catwalk("runs", "--csv", "--sort", "test_accuracy").out.splitlines()[1].startswith(f"{SECOND},mlp,succeeded,")
    )
    [recipe] = catwalk("runs", "--by", "recipe", "--json").json()
    assert (recipe["runs"], recipe["best"], round(recipe["mean"], 6)) == (2, FIRST, 0.9)
    assert "90.00  1.41  2" in catwalk("runs", "--by", "recipe").out
    one_line(catwalk("runs", "--where", "epochs>3"), "--where takes KEY OP VALUE with spaces between")
    one_line(catwalk("runs", "--sort", "speed"), "runs have no 'speed'")
    assert catwalk("runs", "--by", "night").code == 2


def test_runs_leaves_out_what_is_damaged_and_says_so(catwalk: Any, s3_store: Store) -> None:
    put_summary(s3_store, summary(FIRST))
    s3_store.put(f"summaries/{SECOND}.json", b"{")
    done = catwalk("runs", "--json")
    assert (done.code, len(done.json())) == (0, 1)
    assert f"summaries/{SECOND}.json is damaged" in done.err


def test_show_takes_an_id_a_beginning_or_a_name(catwalk: Any, s3_store: Store) -> None:
    make_run(s3_store, FIRST, time.time() - 86_400)
    make_run(s3_store, SECOND, time.time())
    for name in (SECOND, "20261123", "latest"):
        assert catwalk("show", name, "--json").json()["run"]["run_id"] == SECOND
    text = catwalk("show", FIRST).out
    assert "ankle-boot" in text and "validation" not in text.splitlines()[0]
    one_line(catwalk("show", "202611"), "2 runs begin with '202611'")
    one_line(catwalk("show", "champion"), "no champion yet")
    one_line(catwalk("show", "20200101T000000Z-00000000"), "there is no run")
    for odd in ("../../etc", "x", "2026/", "*", "ü"):
        one_line(catwalk("show", odd), "no run begins with")


@pytest.mark.parametrize(
    "arguments",
    [["frob"], ["runs", "--limit", "x"], ["run", "--epochs", "many"], ["show"], ["run", "--source", "cats"]],
)
def test_wrong_usage_is_2(catwalk: Any, arguments: list[str]) -> None:
    done = catwalk(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err


def test_an_absurd_setting_is_one_line(catwalk: Any) -> None:
    one_line(catwalk("run", "--epochs", "0"), "epochs must be at least 1")
    one_line(catwalk("run", "--run-id", "tonight"), "is no run id")


def test_an_unknown_error_is_one_line_too(catwalk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(store: Store) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("monitoring.summaries.Summaries", broken)
    one_line(catwalk("runs"), "unexpected RuntimeError: two lines (set CATWALK_DEBUG=1")


def test_a_store_that_is_not_there_is_one_line(catwalk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    one_line(catwalk("runs"), "refused the credentials")
    monkeypatch.delenv("CATWALK_STORE")
    one_line(catwalk("runs"), "CATWALK_STORE is not set")


def test_the_environment_of_a_running_stack_is_taken_up(
    catwalk: Any, s3_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_summary(s3_store, summary(FIRST))
    home = Path(os.environ["CATWALK_HOME"])
    home.mkdir()
    names = ("CATWALK_STORE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3", "AWS_REGION")
    (home / "environment").write_text(
        "".join(f"{name}={os.environ[name]}\n" for name in names) + "CATWALK_STATSD=127.0.0.1:1\n"
    )
    for name in names:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of another S3")
    monkeypatch.setenv("CATWALK_STATSD", "127.0.0.1:2")
    assert [run["run_id"] for run in catwalk("runs", "--json").json()] == [FIRST]
    assert os.environ["CATWALK_STATSD"] == "127.0.0.1:2"


@pytest.fixture
def champion(s3_store: Store) -> tuple[Run, bytes]:
    """A champion whose model is a real, small network."""
    from ml.config import RunConfig
    from ml.training import Trainer

    config = RunConfig.from_flat({"source": "synthetic", "epochs": 3, "hidden": "8", "threads": 1})
    weights = Trainer.start(config, 1, 0.28, 0.35).weights()
    run = make_run(s3_store, FIRST, time.time(), model_sha256=hashlib.sha256(weights).hexdigest())
    s3_store.put(run.key("model.safetensors"), weights)
    Champions(s3_store).promote(run, None, "gate", "floor reached")
    return run, weights


def test_promote_and_rollback_by_hand_say_what_is_in_service(
    catwalk: Any, champion: tuple[Run, bytes], s3_store: Store
) -> None:
    _, weights = champion
    new = make_run(s3_store, SECOND, time.time(), model_sha256=hashlib.sha256(weights).hexdigest())
    one_line(catwalk("promote", SECOND, "--reason", "try it"), "is missing from the store")
    s3_store.put(new.key("model.safetensors"), weights)
    one_line(catwalk("promote", SECOND, "--reason", " "), "--reason is empty")
    assert catwalk("promote", SECOND).code == 2
    said = catwalk("promote", SECOND, "--reason", "try it", "--by", "ada").out
    assert said == f"mlp-synthetic: run {SECOND} is in service in place of {FIRST}, by ada: try it\n"
    one_line(catwalk("promote", SECOND, "--reason", "again"), "is the champion already")
    record = catwalk("rollback", "--reason", "too slow", "--by", "bob", "--json").json()
    assert (record["run_id"], record["by"], record["history"][-1]["rollback"]) == (FIRST, "bob", True)
    one_line(catwalk("rollback", "--reason", "more"), "nothing was before it")


def test_a_promotion_stands_where_airflow_cannot_be_told(
    catwalk: Any, champion: tuple[Run, bytes], s3_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = make_run(s3_store, SECOND, time.time(), model_sha256=hashlib.sha256(champion[1]).hexdigest())
    s3_store.put(new.key("model.safetensors"), champion[1])
    monkeypatch.setenv("CATWALK_AIRFLOW_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CATWALK_AIRFLOW_PASSWORD", "secret")
    done = catwalk("promote", SECOND, "--reason", "try it")
    assert (done.code, done.err.count("\n")) == (0, 1)
    assert f"{SECOND} is in service, but Airflow was not told" in done.err
    assert "Airflow at http://127.0.0.1:1 does not answer" in done.err


def test_report_is_built_again_stored_and_written(catwalk: Any, s3_store: Store, tmp_path: Path) -> None:
    run = make_run(s3_store, FIRST, time.time())
    out = tmp_path / "report"
    facts = catwalk("report", FIRST[:10], "--out", str(out), "--json").json()
    assert facts["run_id"] == FIRST and facts["url"].endswith(f"/runs/{FIRST}")
    assert facts["file"] == str(out / "report.html")
    assert "loss_and_accuracy" not in facts["missing"]
    assert facts["missing"]["reliability"].endswith("predictions.safetensors is gone from the store.")
    assert (out / "report.html").read_bytes() == s3_store.get(run.key("report.html")).body
    assert (out / "figures" / "loss_and_accuracy.png").read_bytes().startswith(b"\x89PNG")
    said = catwalk("report", "latest").out
    assert said.startswith(f"{s3_store.url}/runs/{FIRST}/report.html (")
    assert "without worst mistakes: The object" in said
    one_line(catwalk("report", SECOND), "there is no run")
    (tmp_path / "file").write_text("")
    one_line(catwalk("report", FIRST, "--out", str(tmp_path / "file")), "choose another folder with --out")


def test_compare_shows_what_sets_runs_apart(catwalk: Any, s3_store: Store, tmp_path: Path) -> None:
    make_run(s3_store, FIRST, time.time(), epochs=2)
    make_run(s3_store, SECOND, time.time(), epochs=3)
    done = catwalk("compare", FIRST, SECOND, "--out", str(tmp_path / "side by side"))
    assert f"{FIRST}  █▁" in done.out and f"{SECOND}  █▃▁" in done.out
    assert "predictions.safetensors is gone from the store" in done.out
    assert done.out.splitlines()[-1] == str(tmp_path / "side by side" / "report.html")
    assert (tmp_path / "side by side" / "figures" / "loss.png").exists()
    facts = catwalk("compare", SECOND, "--where", "model = mlp-synthetic", "--json").json()
    assert [run["run_id"] for run in facts["runs"]] == [SECOND, FIRST], "what is named comes first"
    assert facts["parameters"]["epochs"] == [3, 2]
    assert Path(facts["file"]) == tmp_path / "home" / "comparison" / "report.html"
    one_line(catwalk("compare", FIRST), "takes two runs or more")
    one_line(catwalk("compare", FIRST, FIRST), "is named twice")
    one_line(catwalk("compare", "--where", "epochs>3"), "--where takes KEY OP VALUE")


def test_prune_removes_old_runs_but_none_that_may_be_needed(
    catwalk: Any, champion: tuple[Run, bytes], s3_store: Store
) -> None:
    kept, day = champion[0], 86_400
    old = make_run(s3_store, "20261001T030000Z-00000003", time.time() - 40 * day)
    put_summary(s3_store, summary("20261002T030000Z-00000004", state="running", finished=None, updated=1.0))
    new = make_run(s3_store, SECOND, time.time())
    one_line(catwalk("prune"), "say what may go: --days, --keep or both")
    assert catwalk("prune", "--keep", "0", "--days", "30", "--dry-run", "--json").json()["would_remove"] == [old.run_id]
    assert "3 of 4 runs stay" in catwalk("prune", "--days", "30").out
    assert list(s3_store.list(old.key(""))) == []
    assert old.summary() is None
    assert catwalk("prune", "--keep", "0", "--json").json()["removed"] == [new.run_id]
    assert kept.summary() is not None
    assert s3_store.exists(kept.key("model.safetensors"))
    assert "2 of 2 runs stay" in catwalk("prune", "--keep", "0").out


def test_fetch_writes_the_verified_champion(catwalk: Any, champion: tuple[Run, bytes], tmp_path: Path) -> None:
    run, weights = champion
    target = tmp_path / "served" / "model.safetensors"
    one_line(catwalk("fetch", "--out", str(target)), "can't be written: No such file or directory")
    target.parent.mkdir()
    facts = catwalk("fetch", "--out", str(target.parent), "--json").json()
    assert (facts["run_id"], facts["sha256"]) == (run.run_id, hashlib.sha256(weights).hexdigest())
    assert target.read_bytes() == weights
    one_line(catwalk("fetch", "--out", str(target)), "--force replaces it")
    assert catwalk("fetch", "--out", str(target), "--force").code == 0
    assert [path.name for path in target.parent.iterdir()] == ["model.safetensors"]
    one_line(catwalk("fetch", "--out", str(tmp_path / "x"), "--model", "../mlp"), "has no champion")


def test_a_model_that_was_tampered_with_is_neither_fetched_nor_used(
    catwalk: Any, champion: tuple[Run, bytes], s3_store: Store, tmp_path: Path
) -> None:
    run, weights = champion
    s3_store.put(run.key("model.safetensors"), weights[:-1] + b"\x01")
    picture = tmp_path / "shirt.png"
    Image.new("L", (28, 28)).save(picture)
    one_line(catwalk("fetch", "--out", str(tmp_path / "model")), "not the one that was recorded")
    one_line(catwalk("predict", str(picture)), "not the one that was recorded")
    assert not (tmp_path / "model").exists()


def test_predict_names_three_classes(catwalk: Any, champion: tuple[Run, bytes], tmp_path: Path) -> None:
    pictures = [tmp_path / "a.png", tmp_path / "b.jpg"]
    for picture in pictures:
        Image.new("RGB", (60, 80), (250, 250, 250)).save(picture)
    done = catwalk("predict", *map(str, pictures), "--json")
    predictions = done.json()["predictions"]
    assert [entry["image"] for entry in predictions] == [str(picture) for picture in pictures]
    probabilities = [guess["probability"] for guess in predictions[0]["classes"]]
    assert len(probabilities) == 3 and probabilities == sorted(probabilities, reverse=True) and sum(probabilities) <= 1
    assert catwalk("predict", str(pictures[0])).out.count("%") == 3
    (tmp_path / "text.png").write_text("no picture")
    one_line(catwalk("predict", str(tmp_path / "text.png")), "is no picture")
    one_line(catwalk("predict", str(tmp_path / "none.png")), "No such file")
    one_line(catwalk("predict", str(tmp_path)), "directory")


def test_a_run_from_start_to_decision(catwalk: Any, s3_store: Store) -> None:
    running = process("run", *SMALL, "--run-id", SECOND, "--json")
    out, err = running.communicate(timeout=180)
    assert running.returncode == 0, err
    facts = json.loads(out)
    assert facts["summary"]["state"] == "succeeded"
    assert facts["summary"]["trigger"] == "cli"
    assert "epoch 2/2" in err
    again = process("run", "--run-id", SECOND)
    text, err = again.communicate(timeout=180)
    assert again.returncode == 0, err
    assert "succeeded" in text and "ankle-boot" in text
    other = process("run", "--run-id", SECOND, "--epochs", "3")
    text, err = other.communicate(timeout=180)
    assert (other.returncode, text) == (1, "")
    assert "was started with other parameters" in err and "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_is_cancelled_and_can_be_taken_up(catwalk: Any, s3_store: Store, number: signal.Signals) -> None:
    long = ["--epochs", "200", "--train-examples", "2000", "--batch-size", "4", "--checkpoint-seconds", "0"]
    running = process("run", *SMALL[:2], *long, *SMALL[6:], "--run-id", SECOND)  # not over before it is stopped
    run = Run(s3_store, SECOND)
    wait_until(lambda: bool((summary := run.summary()) and summary.epochs > 2))
    running.send_signal(number)
    out, err = running.communicate(timeout=180)
    assert (running.returncode, out) == (1, "")
    assert err.splitlines()[-1] == f"catwalk: cancelled; `catwalk run --run-id {SECOND}` goes on where it stopped"
    found = run.summary()
    assert found and found.state == "cancelled"
    assert "Traceback" not in err


def test_doctor_says_what_is_wrong_and_what_to_do(catwalk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("PROMETHEUS", "ALERTMANAGER", "REGISTRY", "AIRFLOW", "STATSD_EXPORTER"):
        monkeypatch.setenv(f"CATWALK_{part}_URL", "http://127.0.0.1:1")
    done = catwalk("doctor", "--json")
    checks = {check["part"]: check for check in done.json()}
    assert done.code == 1
    assert checks["store"]["verdict"] == checks["conditional writes"]["verdict"] == "OK"
    assert checks["statsd"]["verdict"] == "WARN"
    for part in ("registry", "prometheus", "targets", "alertmanager", "airflow"):
        assert checks[part]["verdict"] == "FAIL"
        assert "make up" in checks[part]["remedy"]
    text = catwalk("doctor").out
    assert "→" in text
