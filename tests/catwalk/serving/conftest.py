"""A ledger in a folder with two versions of a model that needs no torch, and a server of the first version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from catwalk.ledger.runs import Run
from catwalk.storage.opening import open_store
from tests.support.commands import unset_settings
from tests.support.servers import wait_until
from tests.support.serving import Server, new_version, serving


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Run]]:
    """The champion, and a run that was held."""
    with pytest.MonkeyPatch.context() as patch:
        unset_settings(patch)
        url = tmp_path_factory.mktemp("ledger").as_uri()
        patch.setenv("CATWALK_STORE", url)
        patch.setenv("CATWALK_HOME", str(tmp_path_factory.mktemp("home")))
        yield [new_version(open_store(url)), new_version(open_store(url), rounds=2, accuracy_floor=1.0)]


@pytest.fixture(scope="module")
def server(versions: list[Run]) -> Iterator[Server]:
    """A server that is ready."""
    with serving("shapes", "--poll-seconds", "0.2", "--request-seconds", "3") as found:
        wait_until(lambda: found.get("/readyz").status_code == 200, "a version")
        yield found


@pytest.fixture
def folder(versions: list[Run]) -> Path:
    """The ledger's folder."""
    return Path(versions[0].store.url.removeprefix("file://"))
