"""The image and the stack in containers, if there is a container engine: how long they take and how large they are."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.bench.measure import Measurement
from tests.containers.base_images import base_images
from tests.containers.composed import TAG, composed, torch_backend
from tests.containers.engine import NoEngineError, engine


def measure(say: Callable[[str], None]) -> list[Measurement]:
    """Builds without cached layers, then runs `up` until all is healthy. Returns nothing if there is no engine."""
    torch = torch_backend()
    try:
        say(f"containers: base images, then ours with torch for {torch}")
        with engine() as found, base_images(found) as left_out:
            with composed(found, left_out, UV_TORCH_BACKEND=torch) as stack:
                started = time.monotonic()
                stack.compose("build", "--no-cache", seconds=3600)
                built = time.monotonic() - started
                say("containers: starting all of them")
                stack.up()
                size = float(found.run("image", "inspect", "--format", "{{.Size}}", f"catwalk:{TAG}"))
                return [
                    Measurement(
                        f"building the image, torch for {torch}, packages downloaded before", [built], " s", "-"
                    ),
                    Measurement("its size", [size / 1e9], " GB", "at most 2.5 with torch for cpu"),
                    Measurement("`docker compose up` until all is healthy", [stack.seconds["up"]], " s", "-"),
                ]
    except NoEngineError as error:
        say(f"containers: NOT MEASURED, for {error}")
        return []
