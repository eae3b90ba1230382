"""One stack in containers for all tests here: images made, built, started and healthy."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.containers.base_images import base_images
from tests.containers.composed import ComposedStack, composed, torch_backend
from tests.containers.engine import Engine, NoEngineError, engine


@pytest.fixture(scope="session")
def containers() -> Iterator[Engine]:
    """The engine."""
    try:
        with engine() as found:
            yield found
    except NoEngineError as error:
        pytest.skip(f"NOT TESTED: the stack in containers, for {error}")


@pytest.fixture(scope="session")
def left_out(containers: Engine) -> Iterator[set[str]]:
    """Profiles that can't be had here; as long as this lives, all other base images can."""
    try:
        with base_images(containers) as lacking:
            yield lacking
    except NoEngineError as error:
        pytest.skip(f"NOT TESTED: the stack in containers, for {error}")


@pytest.fixture(scope="session")
def running(containers: Engine, left_out: set[str]) -> Iterator[ComposedStack]:
    """The stack."""
    with composed(containers, left_out, UV_TORCH_BACKEND=torch_backend()) as stack:
        started = time.monotonic()
        stack.compose("build", seconds=2400)
        stack.seconds["build"] = time.monotonic() - started
        stack.up()
        yield stack


@pytest.fixture
def stack(running: ComposedStack) -> Iterator[ComposedStack]:
    """The stack, with this process as its client."""
    with running.as_environment():
        yield running
