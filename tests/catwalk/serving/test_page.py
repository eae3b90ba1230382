"""The commands of docs/serving.md, as they are on the page, against a real server of the model that it shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catwalk.ledger.runs import Ledger, new_run_id
from catwalk.stages.artifacts.datasets import load_split
from catwalk.stages.lifecycle.opening import open_run
from catwalk.storage.opening import open_store
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import RunConfig
from stack.ports import free_port
from stack.settings import PROJECT
from tests.support.commands import unset_settings
from tests.support.runs import decided
from tests.support.servers import wait_until
from tests.support.serving import Server, serving
from tests.support.small import SMALL

pytestmark = pytest.mark.integration

PAGE = (PROJECT / "docs" / "serving.md").read_text()
SHELL = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
JSON = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the page's files."""
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """A server that logs."""
    with pytest.MonkeyPatch.context() as patch:
        unset_settings(patch)
        patch.setenv("CATWALK_STORE", (folder / "ledger").as_uri())
        patch.setenv("CATWALK_HOME", str(folder / "home"))
        config = RunConfig.from_flat(SMALL)
        run = decided(open_run(Ledger(open_store()), new_run_id(), CLASSIFIER, config, "cli"))
        dataset = run.dataset()
        assert dataset
        _files(folder, load_split(run.store, dataset, "test")["images"])
        with serving(run.record.model, "--log", str(folder / "log")) as found:
            wait_until(lambda: found.get("/readyz").status_code == 200, "a version")
            yield found


def _files(folder: Path, pictures: Any) -> None:
    Image.fromarray(pictures[0]).resize((280, 280)).save(folder / "boot.png")
    np.asarray(pictures[0]).tofile(folder / "boot.raw")
    body = {"inputs": {"images": pictures[:2].tolist()}, "ids": ["order-15", "order-16"]}
    (folder / "two-pictures.json").write_text(json.dumps(body))


def answers(server: Server, folder: Path, block: str) -> list[Any]:
    """The output of each curl in a block."""
    commands = re.sub(r"\\\n\s*", "", block).replace("http://127.0.0.1:9182", server.url).splitlines()
    found = []
    for command in commands:
        done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=120)
        found.append(json.loads(done.stdout))
    return found


def shape(answer: Any) -> Any:
    """The keys of an object, and the types of its values."""
    if isinstance(answer, dict):
        return {name: shape(value) for name, value in answer.items()}
    return [shape(answer[0])] if isinstance(answer, list) else type(answer)


def test_the_page_asks_and_is_answered_as_it_says(server: Server, folder: Path) -> None:
    [block] = [block for block in SHELL if "/predict" in block]
    two, one, raw = answers(server, folder, block)
    assert shape(one) == shape(JSON[0])
    assert one["predictions"][0]["id"] == "order-17"
    assert [prediction["id"] for prediction in two["predictions"]] == ["order-15", "order-16"]
    assert raw["predictions"][0]["class"] == two["predictions"][0]["class"]


def test_the_page_sends_labels_and_looks_how_the_server_is(server: Server, folder: Path) -> None:
    [labels] = [block for block in SHELL if "/labels" in block]
    assert answers(server, folder, labels) == [JSON[1]]
    [states] = [block for block in SHELL if "/readyz" in block]
    ready, model = answers(server, folder, states)
    assert ready == {"status": "ready"} and model["inputs"] == {
        "images": "whole numbers from 0 to 255, of shape [28, 28] for one example or [n, 28, 28]"
    }


def test_the_page_starts_several_beside_each_other(server: Server, folder: Path) -> None:
    [block] = [block for block in SHELL if "--port 9190" in block]
    commands = block.replace("/var/lib/mlp/log", str(folder / "shared")).replace("serve mlp ", "serve mlp-synthetic ")
    ports = {port: str(free_port()) for port in ("9190", "9191", "9192", "9193")}
    # In one pass: a free port may itself contain one of these numbers.
    commands = re.sub("|".join(ports), lambda found: ports[found[0]], commands)
    catwalk = str(PROJECT / ".venv" / "bin" / "catwalk")
    processes = [
        subprocess.Popen(
            [catwalk, *line.split()[1:]], cwd=PROJECT, env=dict(os.environ), stdout=subprocess.PIPE, text=True
        )
        for line in commands.splitlines()
    ]
    try:
        for process in processes:
            assert process.stdout and process.stdout.readline().startswith("mlp-synthetic: http://127.0.0.1:")
    finally:
        for process in processes:
            process.kill()
            process.communicate()
