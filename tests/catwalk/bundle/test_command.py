"""`catwalk bundle` as users type it: bad input, and a folder that is written again."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from catwalk.bundle import folder
from catwalk.cli.main import main

PLACES = (
    "--exporter-url",
    "http://exporter",
    "--grafana-url",
    "https://grafana/team",
    "--runbooks-url",
    "https://git/r/",
)


def bundle(out: Path, *options: str) -> int:
    """Returns the exit code. There is no stack whose settings it could read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CATWALK_HOME", str(out.parent / "no-stack"))
        with pytest.raises(SystemExit) as end:
            main(["bundle", "--out", str(out), *options])
    return int(str(end.value.code or 0))


def texts(out: Path) -> dict[str, str]:
    return {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ["--selector", "1a=b"],
            "--selector 1a is not a label name: use letters, digits and _, and don't begin with a digit",
        ),
        (["--selector", "team"], "--selector: expected name=value; got 'team'"),
        (["--selector", "a=b", "--selector", "a=c"], "--selector: expected each name once; got a twice"),
        (["--selector", "model=b"], "--selector model is a label that Catwalk's own series have; choose another name"),
        (["--selector", 'a=b"c'], "--selector a has a value that is not plain text: 'b\"c'"),
        (
            ["--job", "airflow=a"],
            "--job airflow is not one of Catwalk's servers, which are exporter, statsd_exporter, courier",
        ),
        (["--job", "courier=a"], "--job courier names a job, but there is no courier: give --courier-url too"),
        (["--job", "exporter=statsd_exporter"], "--job gives two servers the same name; each needs its own"),
        (
            ["--threshold", "runs_blocked=few"],
            "such as runs_blocked=5; got 'runs_blocked=few'",
        ),
        (
            ["--threshold", "runs_blocked=nan"],
            "--threshold: expected name=number, such as runs_blocked=5",
        ),
        (["--threshold", "nothing=1"], "--threshold nothing is not one of the thresholds, which are baseline_runs, "),
        (["--threshold", "disk_free_bytes=1"], "disk_free_bytes:critical, disk_free_bytes:warning"),
        (
            ["--courier-url", "http://c"],
            "alerts link to runbooks in one place: give --courier-url, if you run the courier",
        ),
        (["--runbooks-url", ""], "alerts link to runbooks in one place"),
        (["--grafana-url", "grafana:3000"], "--grafana-url must contain a URL that begins with http:// or https://"),
        (["--exporter-url", "http://me:key@e"], "--exporter-url contains a user or a password, which every alert"),
        (["--exporter-url", "http://e/?a=b"], "--exporter-url is the beginning of links, so it can't contain a ? or #"),
        (
            ["--owner", " "],
            "--owner takes the name of an owner of models, as `catwalk models` lists it, and must not be empty",
        ),
        (["--owner", "a  b", "--owner", "a b"], "--owner is given twice for a b"),
        (["--datasource", "My Prometheus"], "--datasource takes the uid of a data source"),
        (["--folder", "a/b"], "--folder takes the name of a folder in Grafana, without a /"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    options: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bundle(tmp_path / "out", *PLACES, *options) == 1
    said = capsys.readouterr().err
    assert line in said and said.startswith("catwalk: ") and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_written_again_it_is_the_same_and_loses_files_that_are_not_part_of_it(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    assert bundle(out, *PLACES, "--selector", "team=blue") == 0
    first = texts(out)
    assert bundle(out, *PLACES, "--selector", "team=blue") == 0
    assert texts(out) == first
    (out / "runbooks" / "ours.md").write_text("a page of theirs")
    assert bundle(out, *PLACES, "--without-own-stack") == 0
    second = texts(out)
    assert "grafana/dashboards/catwalk-home-blue.json" in first.keys() - second.keys()
    assert "runbooks/StatsdExporterDown.md" in first.keys() - second.keys()
    assert second.pop("runbooks/ours.md")
    assert json.loads(second.pop(".catwalk-bundle.json"))["files"] == sorted(second)


@pytest.mark.parametrize("what", ["file", "folder", "list"])
def test_the_folder_of_someone_else_stays_unchanged(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    if what == "file":
        out.write_text("theirs")
    else:
        out.mkdir()
        (out / (".catwalk-bundle.json" if what == "list" else "theirs")).write_text("theirs")
    before = out.read_text() if what == "file" else texts(out)
    assert bundle(out, *PLACES) == 1
    assert (out.read_text() if what == "file" else texts(out)) == before
    said = capsys.readouterr().err
    assert "name a" in said and said.count("\n") == 1


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert bundle(tmp_path / "file" / "out", *PLACES) == 1
    said = capsys.readouterr().err
    assert f"can't write to --out {tmp_path / 'file' / 'out'}" in said and said.count("\n") == 1


def test_a_disk_that_fills_up_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    folder.write(out, {"a": "1", "b/c": "2"})
    before, written = texts(out), Path.write_text

    def full(path: Path, *arguments: object, **named: object) -> int:
        if path.name == "d":
            raise OSError(28, os.strerror(28))
        return written(path, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(Exception, match="No space left on device"):
        folder.write(out, {"a": "changed", "d": "new"})
    monkeypatch.undo()
    assert texts(out) == before
    assert sorted(path.name for path in out.iterdir()) == [".catwalk-bundle.json", "a", "b"]


def test_limits_links_and_choices_are_filled_in(tmp_path: Path) -> None:
    chosen = ["--threshold", "runs_blocked=5", "--threshold", "disk_free_bytes:critical=1e9", "--folder", "Models"]
    assert bundle(tmp_path, *PLACES, *chosen, "--datasource", "abc", "--shared-statsd") == 0
    found = texts(tmp_path)
    limits = yaml.safe_load(found["prometheus/rules/thresholds.yml"])["groups"][0]["rules"]
    values = {rule["record"]: rule["expr"] for rule in limits}
    assert values["threshold:runs_blocked:max"] == "vector(5)"
    assert values["threshold:disk_free_bytes:critical"] == "vector(1000000000)"
    assert values["threshold:duration_ratio:max"] == "vector(2)"
    rules = "".join(text for name, text in found.items() if name.startswith("prometheus/rules/"))
    assert "externalLabels" not in rules and "https://git/r/ChampionStale.md" in rules
    assert "https://grafana/team/d/catwalk-run?var-model=" in rules
    assert "StatsdUnmappedEvents" not in rules and "StatsdSilent" in rules
    home = json.loads(found["grafana/dashboards/catwalk-home.json"])
    [datasource] = [each for each in home["templating"]["list"] if each["type"] == "datasource"]
    assert datasource["current"]["value"] == "abc"
    assert "https://git/r/${__value.raw}.md" in found["grafana/dashboards/catwalk-home.json"]
    assert yaml.safe_load(found["grafana/provisioning.yml"])["providers"][0]["folder"] == "Models"
    texts_of_mails = found["alertmanager/catwalk.tmpl"]
    assert "http://exporter" in texts_of_mails and ".Labels.exporter" not in texts_of_mails
    assert ".Labels.registry" not in texts_of_mails and "CommonLabels.runbooks" not in texts_of_mails


def test_a_panel_beside_one_that_is_left_out_takes_its_place(tmp_path: Path) -> None:
    assert bundle(tmp_path, *PLACES) == 0
    board = json.loads(texts(tmp_path)["grafana/dashboards/catwalk-telemetry.json"])
    places = {panel["title"]: panel["gridPos"] for panel in board["panels"]}
    assert "Notifications" not in places
    assert (places["StatsD losses"]["x"], places["StatsD losses"]["w"]) == (0, 24)
    assert places["Canary"]["w"] == 12


def test_alerts_have_the_names_and_queries_of_a_guest(tmp_path: Path) -> None:
    assert bundle(tmp_path, *PLACES, "--selector", "team=blue", "--job", "exporter=cw") == 0
    loaded = [yaml.safe_load(path.read_text()) for path in (tmp_path / "prometheus/rules").glob("*.alerts.yml")]
    rules = [rule for file in loaded for group in file["groups"] for rule in group["rules"]]
    names = {rule["alert"] for rule in rules}
    assert not names & {"TargetDown", "Watchdog", "RuleEvaluationFailing", "NotificationsFailing", "ConfigReloadFailed"}
    assert "CatwalkTargetDown" in names
    assert all(rule["labels"]["stack"] == "catwalk" and rule["labels"]["team"] == "blue" for rule in rules)
    asking = [
        text for rule in rules for text in (*rule["labels"].values(), *rule["annotations"].values()) if "query" in text
    ]
    assert len(asking) > 2
    for text in asking:
        assert text.count('team="blue"') == len(re.findall(r"\w:\w+:\w|catwalk_model_info", text)), text
    pages = {path.stem for path in (tmp_path / "runbooks").glob("*.md")}
    assert {Path(rule["annotations"]["runbook_url"]).stem for rule in rules} == pages


def test_a_runbook_says_that_its_commands_are_for_our_own_stack(tmp_path: Path) -> None:
    assert bundle(tmp_path, *PLACES) == 0
    for path in (tmp_path / "runbooks").glob("*.md"):
        page = path.read_text()
        assert re.search(r"make (up|down|status)|[.]catwalk/|[.]tools/", page), "the note can go"
        assert page.startswith(f"# {path.stem}\n\n> `make …`, and files below `.catwalk`")
