"""The `catwalk` command as users run it: text, JSON, one-line errors, exit codes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from catwalk.gate.promotion import promote
from catwalk.knobs import knobs
from catwalk.ledger.runs import Run
from catwalk.storage.store import Store
from catwalk.web import serving
from ml.fashion_mnist.config import RunConfig
from stack.ports import free_port
from stack.settings import PROJECT
from tests.support.commands import Done, catwalk
from tests.support.ledgers import make_run, put_summary, summary
from tests.support.notifying import Listener
from tests.support.servers import wait_until

__all__ = ["catwalk"]

pytestmark = pytest.mark.integration

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


def process(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "catwalk", *arguments]
    return subprocess.Popen(
        command, cwd=PROJECT, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def one_line(done: Done, text: str) -> None:
    """Expects a mistake or a failure: one line on stderr, nothing on stdout, exit code 1."""
    assert done.code == 1, done.err
    assert done.out == ""
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith("catwalk: ")
    assert text in done.err


def test_every_knob_is_a_flag_with_its_help(catwalk: Any) -> None:
    help_text = " ".join(catwalk("run", "--help").out.replace("│", " ").split())
    for knob in knobs(RunConfig):
        assert f"--{knob.name.replace('_', '-')} " in help_text
        assert knob.help.split(".")[0][:30] in help_text


def test_help_starts_fast_and_imports_nothing_heavy() -> None:
    code = "import sys\nfrom catwalk.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += (
        "assert not {'torch', 'boto3', 'airflow', 'matplotlib', 'PIL', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, capture_output=True, timeout=60)


def test_runs_and_show_need_no_torch(s3_store: Store) -> None:
    make_run(s3_store, FIRST, time.time())
    code = "import sys\nfrom catwalk.cli.main import main\nfor arguments in (['runs'], ['show', 'latest']):\n"
    code += "    try: main(arguments)\n    except SystemExit as stop: assert not stop.code, stop.code\n"
    code += "assert not {'torch', 'airflow', 'matplotlib', 'scipy', 'flask', 'fastapi', 'starlette'} & set(sys.modules)"
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
    one_line(catwalk("runs", "--sort", "speed"), "runs have no key 'speed'")
    assert catwalk("runs", "--by", "night").code == 2
    assert catwalk("runs", "--where", "test_accuracy > 0.95").out == "none of the 2 runs meets these conditions\n"


def test_runs_are_chosen_by_date(catwalk: Any, s3_store: Store) -> None:
    put_summary(s3_store, summary(FIRST, started=1_795_316_400.0))  # 2026-11-22 03:00 UTC
    put_summary(s3_store, summary(SECOND, started=1_795_402_800.0))
    for condition, expected in {
        "started > 2026-11-23": [SECOND],
        "started < 2026-11-23T04:00+01:00": [FIRST],
        "started >= 2026-11-22": [FIRST, SECOND],
        "started ~ 2026-11-22": [FIRST],
    }.items():
        found = catwalk("runs", "--where", condition, "--sort", "started", "--json").json()
        assert [run["run_id"] for run in found] == expected, condition
    one_line(catwalk("runs", "--where", "started > monday"), "started is a time: give a date such as 2026-11-26")
    one_line(catwalk("compare", "--where", "started = 2026-11-22"), "such as 'started ~ 2026-11-26'")


def test_a_run_that_diverged_is_shown_as_such(catwalk: Any, s3_store: Store) -> None:
    absurd = ["--epochs", "9", *SMALL[4:], "--batch-size", "10", "--peak-learning-rate", "1000000"]
    running = process("run", *SMALL[:2], *absurd, "--run-id", SECOND)
    _, err = running.communicate(timeout=180)
    assert (running.returncode, err.splitlines()[-1].startswith("catwalk: the loss is not finite")) == (1, True)
    put_summary(s3_store, summary(FIRST, model="mlp-synthetic"))
    for order in ("last_validation_loss", "-test_accuracy"):
        assert [run["run_id"] for run in catwalk("runs", "--sort", order, "--json").json()] == [FIRST, SECOND]
    assert catwalk("runs", "--by", "recipe", "--json").json()[0]["best"] == FIRST
    shown = catwalk("show", SECOND).out
    assert "failed in train\n" in shown
    assert "seed=derived" in shown and "model_bytes_cap=none" in shown and "decision    none\n" in shown
    make_run(s3_store, "20261121T030000Z-00000003", time.time())
    for command in (["show", SECOND], ["compare", "20261121", SECOND], ["report", SECOND], ["runs"]):
        text = catwalk(*command, "--json").out
        json.loads(text, parse_constant=lambda literal: pytest.fail(f"{literal} is not valid JSON"))
        assert catwalk(*command).code == 0


@pytest.mark.parametrize("width", ["40", "60", "79", "80", "99", "120", "0", "wide"])
def test_no_table_of_runs_is_cut(catwalk: Any, s3_store: Store, monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    now = time.time()
    put_summary(s3_store, summary(FIRST, started=now - 6e5, finished=now, last_validation_loss=8.7e11))
    put_summary(s3_store, summary(SECOND, state="running", finished=None, started=now - 3.59e5, updated=now))
    monkeypatch.setenv("COLUMNS", width)
    text = catwalk("runs").out
    assert "…" not in text
    for told in (FIRST, SECOND, "succeeded", "running", "90.1"):
        assert told in text
    if width not in ("40", "60", "79"):
        assert "8.7e+11" in text and "6d 22h" in text and "99h 43m" in text
    if width not in ("0", "wide"):
        assert max(map(len, text.splitlines())) <= int(width)


def test_a_promotion_names_its_author(
    catwalk: Any, champion: tuple[Run, bytes], s3_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = make_run(s3_store, SECOND, time.time(), model_sha256=hashlib.sha256(champion[1]).hexdigest())
    s3_store.put(new.key("model.safetensors"), champion[1])
    for name in ("CATWALK_BY", "SUDO_USER", "CATWALK_DEPLOYMENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "root")
    commands = [["promote", SECOND, "--reason", "x"], ["rollback", "--reason", "x"]] * 2

    def by() -> str:
        return str(catwalk(*commands.pop(0), "--json").json()["by"])

    assert by() == "root"
    monkeypatch.setenv("SUDO_USER", "ada")
    assert by() == "ada"
    monkeypatch.setenv("CATWALK_DEPLOYMENT", "compose")
    one_line(catwalk(*commands[0]), "your name is unknown; give it with --by or CATWALK_BY")
    monkeypatch.setenv("CATWALK_BY", "bob")
    assert by() == "bob"


def test_a_report_is_linked_where_people_open_it(
    catwalk: Any, s3_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(s3_store, FIRST, time.time())
    monkeypatch.setenv("CATWALK_EXPORTER_URL", "http://exporter:9180")
    monkeypatch.setenv("CATWALK_EXPORTER_PUBLIC_URL", "https://catwalk.example/")
    assert f"shown at https://catwalk.example/runs/{FIRST}\n" in catwalk("report", FIRST).out


def test_runs_leaves_out_damaged_runs_and_says_so(catwalk: Any, s3_store: Store) -> None:
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
    one_line(catwalk("show", "202611"), "2 run ids begin with '202611'")
    one_line(catwalk("show", "champion"), "no champion yet")
    one_line(catwalk("show", "20200101T000000Z-00000000"), "there is no run")
    for odd in ("../../etc", "x", "2026/", "*", "ü"):
        one_line(catwalk("show", odd), "no run id begins with")


def test_latest_is_the_latest_of_the_named_model(catwalk: Any, s3_store: Store) -> None:
    make_run(s3_store, FIRST, time.time() - 86_400)
    make_run(s3_store, SECOND, time.time())
    put_summary(s3_store, summary(SECOND, model="other"))
    assert catwalk("show", "latest", "--json").json()["run"]["run_id"] == SECOND
    named = catwalk("show", "latest", "--model", "mlp-synthetic", "--json").json()["run"]["run_id"]
    assert named == FIRST
    one_line(catwalk("show", "latest", "--model", "absent"), "there are no runs of absent yet")


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
    one_line(catwalk("run", "--run-id", "tonight"), "is not a run id")


def test_an_unknown_error_is_one_line_too(catwalk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(store: Store) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("catwalk.ledger.summaries.Summaries", broken)
    one_line(catwalk("runs"), "unexpected RuntimeError: two lines (set CATWALK_DEBUG=1")


@pytest.mark.parametrize("module", ["tempfile; tempfile.gettempdir()", "matplotlib; matplotlib.get_cachedir()"])
def test_a_machine_without_a_temporary_folder_is_one_line(module: str) -> None:
    """Torch needs one when it is imported, and matplotlib if it has no home."""
    code = (
        "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/nowhere']\n"
        "from catwalk.cli import main as cli\n"
        f"def ask():\n    import {module}\ncli.app.command('ask')(ask); cli.main(['ask'])"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": "/proc/nowhere", "CATWALK_STORE": "s3://b"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == ("catwalk: no temporary folder is writable; set TMPDIR to one that is")


def test_a_store_that_is_not_there_is_one_line(catwalk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    one_line(catwalk("runs"), "refused the credentials")
    monkeypatch.delenv("CATWALK_STORE")
    one_line(catwalk("runs"), "CATWALK_STORE is not set")


def test_the_environment_of_a_running_stack_is_used(
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
    import numpy as np

    from catwalk.trainable import Data
    from ml.fashion_mnist import CLASSIFIER

    one = {"images": np.zeros((1, 28, 28), np.uint8), "labels": np.zeros(1, np.uint8)}
    data = Data({"train": one, "validation": one}, {"pixel_mean": 0.28, "pixel_stddev": 0.35})
    config = RunConfig.from_flat({"source": "synthetic", "epochs": 3, "hidden": "8", "threads": 1})
    weights = CLASSIFIER.start(config, 1, data).model()
    run = make_run(s3_store, FIRST, time.time(), model_sha256=hashlib.sha256(weights).hexdigest())
    s3_store.put(run.key("model.safetensors"), weights)
    promote(run, None, "gate", "floor reached")
    return run, weights


def test_promote_and_rollback_by_hand_say_what_is_in_service(
    catwalk: Any, champion: tuple[Run, bytes], s3_store: Store
) -> None:
    _, weights = champion
    new = make_run(s3_store, SECOND, time.time(), model_sha256=hashlib.sha256(weights).hexdigest())
    one_line(catwalk("promote", SECOND, "--reason", "try it"), "is missing from the store")
    s3_store.put(new.key("model.safetensors"), weights)
    one_line(catwalk("promote", SECOND, "--reason", " "), "--reason is required")
    assert catwalk("promote", SECOND).code == 2
    said = catwalk("promote", SECOND, "--reason", "try it", "--by", "ada").out
    assert said == f"mlp-synthetic: run {SECOND} is in service in place of {FIRST}, by ada: try it\n"
    one_line(catwalk("promote", SECOND, "--reason", "again"), "is already the champion")
    record = catwalk("rollback", "--reason", "too slow", "--by", "bob", "--json").json()
    assert (record["run_id"], record["by"], record["history"][-1]["rollback"]) == (FIRST, "bob", True)
    one_line(catwalk("rollback", "--reason", "more"), "there is no earlier one")


@pytest.fixture
def another_server() -> Iterator[str]:
    """The URL of a server that answers everything with an empty object."""
    listener = Listener()
    yield listener.url
    listener.stop()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1", "Airflow at {} does not answer"),
        ("airflow", "Airflow at {} does not answer (unknown url type"),
        (
            "another server",
            "the server at {} is not Airflow 3: its response has no access_token; correct CATWALK_AIRFLOW_URL",
        ),
    ],
)
def test_a_promotion_stands_if_airflow_cannot_be_notified(
    catwalk: Any,
    champion: tuple[Run, bytes],
    s3_store: Store,
    monkeypatch: pytest.MonkeyPatch,
    another_server: str,
    url: str,
    why: str,
) -> None:
    url = url.replace("another server", another_server)
    new = make_run(s3_store, SECOND, time.time(), model_sha256=hashlib.sha256(champion[1]).hexdigest())
    s3_store.put(new.key("model.safetensors"), champion[1])
    monkeypatch.setenv("CATWALK_AIRFLOW_URL", url)
    monkeypatch.setenv("CATWALK_AIRFLOW_PASSWORD", "secret")
    done = catwalk("promote", SECOND, "--reason", "try it")
    assert (done.code, done.err.count("\n")) == (0, 1)
    assert f"{SECOND} is in service, but Airflow was not notified" in done.err
    assert why.format(url) in done.err


def test_report_names_the_exporter_of_this_machine_where_one_answers(
    catwalk: Any, s3_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(s3_store, FIRST, time.time())
    server = serving.Server(("127.0.0.1", 0), _Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("CATWALK_PORT_EXPORTER", str(server.server_address[1]))
    url = f"http://127.0.0.1:{server.server_address[1]}/runs/{FIRST}"
    try:
        assert catwalk("report", FIRST).out.splitlines()[0].endswith(f", shown at {url}")
    finally:
        server.shutdown()
        server.server_close()


class _Healthy(serving.Handler):
    def do_GET(self) -> None:
        self._answer(200 if self.path == "/healthz" else 404, b"ok\n", "text/plain")


def test_report_is_built_again_stored_and_written(
    catwalk: Any, s3_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_PORT_EXPORTER", str(free_port()))
    run = make_run(s3_store, FIRST, time.time())
    out = tmp_path / "report"
    facts = catwalk("report", FIRST[:10], "--out", str(out), "--json").json()
    assert (facts["run_id"], facts["url"]) == (FIRST, ""), "no exporter runs here"
    assert facts["file"] == str(out / "report.html")
    assert "loss_and_accuracy" not in facts["missing"]
    assert facts["missing"]["reliability"].endswith("predictions.safetensors is no longer in the store.")
    assert (out / "report.html").read_bytes() == s3_store.get(run.key("report.html")).body
    assert (out / "figures" / "loss_and_accuracy.png").read_bytes().startswith(b"\x89PNG")
    said = catwalk("report", "latest").out
    assert said.startswith(f"{s3_store.url}/runs/{FIRST}/report.html (") and "shown at" not in said
    assert "without worst mistakes: The object" in said
    one_line(catwalk("report", SECOND), "there is no run")
    (tmp_path / "file").write_text("")
    one_line(catwalk("report", FIRST, "--out", str(tmp_path / "file")), "choose another folder with --out")


def test_compare_shows_the_differences_between_runs(catwalk: Any, s3_store: Store, tmp_path: Path) -> None:
    make_run(s3_store, FIRST, time.time(), epochs=2)
    make_run(s3_store, SECOND, time.time(), epochs=3)
    done = catwalk("compare", FIRST, SECOND, "--out", str(tmp_path / "side by side"))
    assert f"{FIRST}  █▁" in done.out and f"{SECOND}  █▃▁" in done.out
    assert "predictions.safetensors is no longer in the store" in done.out
    assert done.out.splitlines()[-1] == str(tmp_path / "side by side" / "report.html")
    assert (tmp_path / "side by side" / "figures" / "loss.png").exists()
    facts = catwalk("compare", SECOND, "--where", "model = mlp-synthetic", "--json").json()
    assert [run["run_id"] for run in facts["runs"]] == [SECOND, FIRST], "the named baseline comes first"
    assert facts["parameters"]["epochs"] == [3, 2]
    assert Path(facts["file"]) == tmp_path / "home" / "comparison" / "report.html"
    one_line(catwalk("compare", FIRST), "takes two runs or more")
    one_line(catwalk("compare", FIRST, FIRST), "is named twice")
    one_line(catwalk("compare", "--where", "epochs>3"), "--where takes KEY OP VALUE")


def test_a_comparison_does_not_depend_on_its_page(
    catwalk: Any, s3_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(s3_store, FIRST, time.time(), epochs=2)
    make_run(s3_store, SECOND, time.time(), epochs=3)
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("CATWALK_HOME", str(file))
    done = catwalk("compare", FIRST, SECOND)
    assert (done.code, FIRST in done.out, "report.html" in done.out) == (0, True, False)
    assert done.err.count("\n") == 1
    assert f"no page was written: can't write to {file}/comparison: Not a directory" in done.err
    done = catwalk("compare", FIRST, SECOND, "--json")
    assert (done.code, done.json()["file"], len(done.json()["runs"])) == (0, None, 2)
    done = catwalk("compare", FIRST, SECOND, "--out", str(file))
    assert (done.code, FIRST in done.out, done.err.count("\n")) == (1, True, 1), "what was asked for is missing"
    assert "choose another folder with --out, or - for standard output" in done.err
    for command in (["compare", FIRST, SECOND], ["report", FIRST]):
        page = catwalk(*command, "--out", "-")
        assert (page.code, page.err) == (0, "")
        assert page.out.startswith("<!doctype html>") and page.out.endswith("</html>\n")
    one_line(catwalk("compare", FIRST, SECOND, "--out", "-", "--json"), "leave out --json and --open")


@pytest.mark.parametrize("names", [["猫", "sedan, red [x]", "ä b"], []])
def test_a_run_is_shown_and_replayed_with_its_own_classes(catwalk: Any, s3_store: Store, names: list[str]) -> None:
    run = make_run(s3_store, FIRST, time.time())
    score, training = run.evaluation(), run.training()
    assert score and training
    rates, matrix = [0.9] * 3, [[90, 10, 0], [0, 90, 10], [10, 0, 90]]
    history = [dataclasses.replace(epoch, class_accuracy=rates) for epoch in training.epochs]
    put = {
        "run.json": dataclasses.replace(run.record, classes=names, config={"forest": {"trees": 300}}),
        "epochs.json": dataclasses.replace(training, epochs=history),
        "evaluation.json": dataclasses.replace(
            score, classes=names, class_accuracy=rates, class_precision=rates, class_f1=rates, confusion=matrix
        ),
    }
    for name, record in put.items():
        s3_store.put_record(run.key(name), record)
    expected = names or ["0", "1", "2"]
    text = catwalk("show", FIRST).out
    for name, taken_for in zip(expected, [*expected[1:], expected[0]], strict=True):
        assert any(line.strip().startswith(name) and f"{taken_for} (10)" in line for line in text.splitlines())
    blocks = text_string_to_metric_families(catwalk("replay", FIRST, "--out", "-").out.replace("# EOF\n", ""))
    [family] = [family for family in blocks if family.name == "ml_test_class_f1_ratio"]
    assert [unquote(sample.labels["class"]) for sample in family.samples] == expected
    s3_store.put_record(run.key("run.json"), dataclasses.replace(put["run.json"], classes=["a", "b"]))  # type: ignore[type-var]
    one_line(
        catwalk("replay", FIRST, "--out", "-"), f"run {FIRST} is damaged: it names 2 classes, but has figures for 3"
    )


def test_a_replay_can_go_to_standard_output(catwalk: Any, s3_store: Store) -> None:
    make_run(s3_store, FIRST, time.time())
    done = catwalk("replay", FIRST, "--out", "-")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("# TYPE ml_epoch_loss gauge\n") and done.out.endswith("# EOF\n")


def test_prune_removes_old_runs_but_none_that_may_be_needed(
    catwalk: Any, champion: tuple[Run, bytes], s3_store: Store
) -> None:
    kept, day = champion[0], 86_400
    old = make_run(s3_store, "20261001T030000Z-00000003", time.time() - 40 * day)
    put_summary(s3_store, summary("20261002T030000Z-00000004", state="running", finished=None, updated=1.0))
    new = make_run(s3_store, SECOND, time.time())
    one_line(catwalk("prune"), "choose what to remove: --days, --keep or both")
    assert catwalk("prune", "--keep", "0", "--days", "30", "--dry-run", "--json").json()["would_remove"] == [old.run_id]
    assert "3 of 4 runs are kept" in catwalk("prune", "--days", "30").out
    assert list(s3_store.list(old.key(""))) == []
    assert old.summary() is None
    assert catwalk("prune", "--keep", "0", "--json").json()["removed"] == [new.run_id]
    assert kept.summary() is not None
    assert s3_store.exists(kept.key("model.safetensors"))
    assert "2 of 2 runs are kept" in catwalk("prune", "--keep", "0").out


def test_fetch_writes_the_verified_champion(catwalk: Any, champion: tuple[Run, bytes], tmp_path: Path) -> None:
    run, weights = champion
    target = tmp_path / "served" / "model.safetensors"
    one_line(catwalk("fetch", "--out", str(target)), "model.safetensors: No such file or directory")
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
    one_line(catwalk("fetch", "--out", str(tmp_path / "model")), "differs from its record")
    one_line(catwalk("predict", str(picture(tmp_path / "shirt.png"))), "differs from its record")
    assert not (tmp_path / "model").exists()


def change(store: Store, key: str, section: str, **settings: object) -> None:
    """Adds settings to the stored configuration of a run."""
    values = json.loads(store.get(key).body)
    values["config"][section] |= settings
    store.put(key, json.dumps(values).encode())


def test_a_champion_of_a_newer_version_is_shown_fetched_and_used(
    catwalk: Any, champion: tuple[Run, bytes], s3_store: Store, tmp_path: Path
) -> None:
    run, weights = champion
    change(s3_store, run.key("run.json"), "training", mixup=0.1, epochs=100_000)
    picture(tmp_path / "shirt.png")
    assert catwalk("predict", str(tmp_path / "shirt.png")).code == 0
    assert catwalk("fetch", "--out", str(tmp_path / "model")).code == 0
    assert catwalk("show", FIRST, "--json").json()["run"]["config"]["training"]["mixup"] == 0.1
    assert catwalk("report", FIRST).code == 0
    assert b"of another version" in s3_store.get(run.key("report.html")).body
    make_run(s3_store, SECOND, time.time())
    facts = catwalk("compare", FIRST, SECOND, "--json").json()
    assert facts["parameters"]["mixup"] == [0.1, None]
    one_line(catwalk("run", "--run-id", FIRST, "--epochs", "3"), "unknown setting 'mixup'")
    change(s3_store, run.key("run.json"), "network", activation="gelu")
    one_line(catwalk("predict", str(tmp_path / "shirt.png")), "settings that this version can't read (activation)")
    assert catwalk("fetch", "--out", str(tmp_path / "model"), "--force").code == 0
    assert (tmp_path / "model").read_bytes() == weights


@pytest.mark.parametrize("name", ["run.json", "epochs.json", "evaluation.json", "attempts/train-1.json"])
def test_a_damaged_file_of_the_champion_costs_itself_only(
    name: str, catwalk: Any, champion: tuple[Run, bytes], s3_store: Store, tmp_path: Path
) -> None:
    run, weights = champion
    make_run(s3_store, SECOND, time.time())
    s3_store.put(run.key(name), s3_store.get(run.key(name)).body[:40])
    named = f"{name} is damaged"
    assert catwalk("fetch", "--out", str(tmp_path / "model")).code == 0
    assert (tmp_path / "model").read_bytes() == weights
    shown = catwalk("show", FIRST, "--json")
    assert shown.code == 0 and shown.err.count("\n") == 1 and named in shown.err
    assert shown.json()["summary"]["run_id"] == FIRST
    picture(tmp_path / "shirt.png")
    predicted = catwalk("predict", str(tmp_path / "shirt.png"))
    if name == "run.json":
        one_line(predicted, named)
    else:
        assert predicted.code == 0
    assert FIRST in catwalk("runs").out
    compared = catwalk("compare", FIRST, SECOND, "--json")
    assert compared.code == 0 and [entry["run_id"] for entry in compared.json()["runs"]] == [FIRST, SECOND]
    assert (named in compared.err) is (name == "run.json")
    assert catwalk("prune", "--keep", "0", "--dry-run", "--json").json()["would_remove"] == [SECOND]


def test_a_damaged_champion_is_named_and_its_runs_stay(
    catwalk: Any, champion: tuple[Run, bytes], s3_store: Store, tmp_path: Path
) -> None:
    key = "champions/mlp-synthetic.json"
    s3_store.put(key, b"{")
    put_summary(s3_store, summary(SECOND, model="mlp"))
    pruned = catwalk("prune", "--keep", "0", "--json")
    assert pruned.json()["removed"] == [SECOND]
    assert f"every run of mlp-synthetic is kept: {s3_store.url}/{key} is damaged" in pruned.err
    for command in (("fetch", "--out", str(tmp_path / "model")), ("rollback", "--reason", "x", "--by", "ada")):
        one_line(catwalk(*command), "is damaged")
    one_line(catwalk("promote", FIRST, "--reason", "x", "--by", "ada"), "restore it from a backup, or delete it")
    s3_store.delete(key)
    assert catwalk("promote", FIRST, "--reason", "x", "--by", "ada").code == 0


def test_prune_skips_damaged_records_and_names_them(catwalk: Any, s3_store: Store) -> None:
    put_summary(s3_store, summary(FIRST))
    s3_store.put(f"summaries/{SECOND}.json", b"{")
    s3_store.put("sweeps/damaged.json", b"{")
    pruned = catwalk("prune", "--keep", "0")
    assert f"removed {FIRST}" in pruned.out and pruned.code == 0
    assert f"summaries/{SECOND}.json is damaged" in pruned.err and "sweeps/damaged.json is damaged" in pruned.err


def test_a_lost_champion_is_replaced_by_hand_and_blocks_no_later_run(
    catwalk: Any, champion: tuple[Run, bytes], s3_store: Store, tmp_path: Path
) -> None:
    lost, weights = champion
    new = make_run(s3_store, SECOND, time.time(), model_sha256=hashlib.sha256(weights).hexdigest())
    s3_store.put(new.key("model.safetensors"), weights)
    s3_store.delete(lost.key("model.safetensors"))
    for command in (["fetch", "--out", str(tmp_path / "x")], ["predict", str(picture(tmp_path / "a.png"))]):
        one_line(
            catwalk(*command), "if this one is in service, replace it with `catwalk rollback` or `catwalk promote`"
        )
    record = catwalk("promote", SECOND, "--reason", "the old one is lost", "--json").json()
    assert record["anchor"] == SECOND, "the gate can't compare with what is lost"


def picture(path: Path, mode: str = "RGB") -> Path:
    """A dark square on white."""
    shown = Image.new(mode, (60, 80), 250 if mode == "L" else (250, 250, 250))
    shown.paste(20 if mode == "L" else (20, 20, 20), (15, 20, 45, 60))
    shown.save(path)
    return path


def test_predict_answers_only_for_pictures_that_show_something(
    catwalk: Any, champion: tuple[Run, bytes], tmp_path: Path
) -> None:
    good, blank, text = picture(tmp_path / "good.png"), tmp_path / "blank.png", tmp_path / "text.png"
    Image.new("L", (9, 9), 255).save(blank)
    text.write_text("no picture")
    done = catwalk("predict", str(blank), str(good), str(text))
    assert (done.code, done.out.count("\n"), done.out.startswith(f"{good}: ")) == (1, 1, True)
    [first, second] = done.err.splitlines()
    assert first.startswith(f"catwalk: {blank} shows nothing")
    assert second.startswith(f"catwalk: {text} is not a readable picture")
    done = catwalk("predict", str(blank), str(good), str(text), "--json")
    first, answer, last = done.json()["predictions"]
    assert (done.code, answer["image"], len(answer["classes"])) == (1, str(good), 3)
    assert (first["image"], last["image"]) == (str(blank), str(text))
    assert "shows nothing" in first["error"]
    assert "is not a readable picture" in last["error"]


def test_pictures_and_models_can_use_the_standard_streams(
    catwalk: Any, champion: tuple[Run, bytes], tmp_path: Path
) -> None:
    told = catwalk("predict", str(picture(tmp_path / "a.png"))).out.partition(": ")[2]
    command = [sys.executable, "-m", "catwalk"]
    body = (tmp_path / "a.png").read_bytes()
    asked = subprocess.run([*command, "predict", "-"], cwd=PROJECT, input=body, capture_output=True, check=True)
    assert asked.stdout.decode() == f"-: {told}"
    fetched = subprocess.run([*command, "fetch", "--out", "-"], cwd=PROJECT, capture_output=True, check=True)
    assert (fetched.stdout, fetched.stderr) == (champion[1], b"")
    one_line(catwalk("fetch", "--out", "-", "--json"), "--out - writes only the file to standard output")


def test_predict_names_three_classes(catwalk: Any, champion: tuple[Run, bytes], tmp_path: Path) -> None:
    pictures = [tmp_path / "a.png", tmp_path / "b.jpg"]
    for path in pictures:
        picture(path)
    done = catwalk("predict", *map(str, pictures), "--json")
    predictions = done.json()["predictions"]
    assert [entry["image"] for entry in predictions] == [str(path) for path in pictures]
    probabilities = [guess["probability"] for guess in predictions[0]["classes"]]
    assert len(probabilities) == 3 and probabilities == sorted(probabilities, reverse=True) and sum(probabilities) <= 1
    assert catwalk("predict", str(pictures[0])).out.count("%") == 3
    (tmp_path / "text.png").write_text("no picture")
    one_line(catwalk("predict", str(tmp_path / "text.png")), "is not a readable picture")
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
def test_a_stopped_run_is_cancelled_and_can_be_resumed(catwalk: Any, s3_store: Store, number: signal.Signals) -> None:
    long = ["--epochs", "200", "--train-examples", "2000", "--batch-size", "4", "--checkpoint-seconds", "0"]
    running = process("run", *SMALL[:2], *long, *SMALL[6:], "--run-id", SECOND)  # it must not end before this stops it
    run = Run(s3_store, SECOND)
    wait_until(lambda: bool((summary := run.summary()) and summary.epochs > 2))
    running.send_signal(number)
    out, err = running.communicate(timeout=180)
    assert (running.returncode, out) == (1, "")
    assert err.splitlines()[-1] == f"catwalk: cancelled; `catwalk run --run-id {SECOND}` resumes where it stopped"
    found = run.summary()
    assert found and found.state == "cancelled"
    assert "Traceback" not in err


def test_doctor_says_what_is_wrong_and_what_to_do(catwalk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("PROMETHEUS", "ALERTMANAGER", "EXPORTER", "AIRFLOW", "STATSD_EXPORTER"):
        monkeypatch.setenv(f"CATWALK_{part}_URL", "http://127.0.0.1:1")
    done = catwalk("doctor", "--json")
    checks = {check["part"]: check for check in done.json()}
    assert done.code == 1
    assert checks["store"]["verdict"] == checks["conditional writes"]["verdict"] == "OK"
    assert checks["statsd"]["verdict"] == "WARN"
    for part in ("exporter", "prometheus", "targets", "alertmanager", "airflow"):
        assert checks[part]["verdict"] == "FAIL"
        assert "make up" in checks[part]["remedy"]
    text = catwalk("doctor").out
    assert "→" in text
    monkeypatch.setenv("CATWALK_DEPLOYMENT", "compose")
    text = catwalk("doctor").out
    assert "docker compose up -d" in text
    assert "make up" not in text
