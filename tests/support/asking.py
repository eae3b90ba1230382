"""Traffic to a server of a model of pictures: some at a time, over HTTP, until it is stopped."""

from __future__ import annotations

import threading
from collections import Counter

import httpx
import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
_BATCH, _PAUSE_SECONDS = 20, 0.1


class Asking:
    """Asks from its start on; what it asks about may change meanwhile."""

    def __init__(self, url: str, pictures: Pictures) -> None:
        """
        Args:
            url: of the server.
            pictures: drawn from at random, (n, height, width).
        """
        self.pictures = pictures
        self.versions: Counter[str] = Counter()
        """Run id of the version that has answered → answers."""
        self.failures: list[str] = []
        """What was answered in place of a prediction, or why nothing was."""
        self._url, self._stop = url, threading.Event()
        self._thread = threading.Thread(target=self._ask, name="traffic")

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        random = np.random.default_rng(1)
        headers = {"Content-Type": "application/octet-stream"}
        with httpx.Client(base_url=self._url, timeout=60, trust_env=False, headers=headers) as client:
            while not self._stop.wait(_PAUSE_SECONDS):
                pictures = self.pictures
                body = pictures[random.integers(len(pictures), size=_BATCH)].tobytes()
                try:
                    self._count(client.post("/predict", content=body))
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))

    def _count(self, answer: httpx.Response) -> None:
        if answer.status_code == httpx.codes.OK:
            self.versions[answer.json()["version"]] += 1
        else:
            self.failures.append(answer.text)
