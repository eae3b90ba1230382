"""Facts of a run in memory, and a reader of pages that is strict about HTML."""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.ledger.records.dataset import DatasetRecord, SplitStatistics
from catwalk.ledger.records.decision import CheckRecord, DecisionRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.model import ChampionRecord, PromotionRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.summary import StageSummary, SummaryRecord
from catwalk.ledger.records.training import EpochRecord, TrainingRecord
from catwalk.report import by_kind
from catwalk.report.facts import Facts, Part, Predictions
from ml.fashion_mnist.config import RunConfig

RUN, CHAMPION = "20261123T030000Z-7f3a90c1", "20261122T030000Z-0d1e2f30"
EXAMPLES = 1_000
FIGURES = {name: found for name, found in by_kind.FIGURES["multiclass"].items() if name != "other_metrics"}
"""Figures of a run of the stages, which log no other metrics."""
GARMENTS = [
    "t-shirt-top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot",
]  # fmt: skip
_VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """A page's images, links and text. Raises AssertionError where its tags are not balanced."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.images: list[dict[str, str]] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        """URLs of everything that it loads."""
        self.links: dict[str, str] = {}
        """Address of each link → its text."""
        self.text = ""
        self._open: list[str] = []
        self.feed(html.decode())
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = {name: value or "" for name, value in attributes}
        if tag == "a":
            self.links[found["href"]] = ""
        else:
            self.addresses += [found[name] for name in ("src", "href", "srcset", "data", "action") if name in found]
        if tag == "img":
            self.images.append(found)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data
        if self._open[-1:] == ["a"]:
            self.links[[*self.links][-1]] += data

    @property
    def figures(self) -> list[str]:
        """The SVG of each figure; swatches, which say nothing that the text does not, are left out."""
        sources = [image["src"] for image in self.images if image["alt"]]
        return [base64.b64decode(source.partition(",")[2]).decode() for source in sources]


def check_page(html: bytes) -> Page:
    """What every page promises: balanced, nothing from elsewhere, no script, small, an alt text on every image."""
    page = Page(html)
    assert len(html) < 3_000_000
    assert all(address.startswith("data:") for address in page.addresses), page.addresses
    assert all(re.match("https?://", address) for address in page.links), page.links
    assert not page.tags & {"script", "link", "iframe", "object", "embed"}
    assert not re.search(r"url\(|@import", html.decode())
    for image in page.images:
        assert "alt" in image
        assert image["alt"] or image["class"] == "swatch"
    for svg in page.figures:
        addresses = re.findall(r'(?:href|src)="([^"]*)"', svg)
        assert all(address.startswith(("#", "data:")) for address in addresses), addresses
        assert "<script" not in svg
    return page


def class_list(count: int) -> list[str]:
    """Names for this number of classes: ten garments, or kinds of them."""
    kinds = (f"{garment} {number}" for number in range(1, 200) for garment in GARMENTS)
    return GARMENTS if count == len(GARMENTS) else [next(kinds) for _ in range(count)]


def predictions(
    seed: int,
    labels: Any = None,
    skill: float = 3.0,
    examples: int = EXAMPLES,
    classes: list[str] = GARMENTS,
) -> Predictions:
    """What a model of some skill might say."""
    random = np.random.default_rng(seed)
    if labels is None:
        labels = np.arange(examples) % len(classes)
    logits = random.normal(0, 1.5, (len(labels), len(classes))).astype(np.float32)
    logits[np.arange(len(labels)), labels] += skill
    return Predictions(labels.astype(np.int64), logits, classes)


def evaluation(found: Predictions) -> EvaluationRecord:
    """The score of predictions."""
    n = len(found.classes)
    confusion = np.bincount(found.labels * n + found.predicted, minlength=n * n).reshape(n, n)
    recall = (confusion.diagonal() / np.maximum(confusion.sum(1), 1)).tolist()
    accuracy = float(found.right.mean())
    return EvaluationRecord(
        "5" * 64, "d" * 64, len(found.labels), accuracy, 0.4, 0.03, recall, recall, recall, confusion.tolist(), 0.1,
        1e9, found.classes,
    )  # fmt: skip


def epochs(count: int) -> list[EpochRecord]:
    """A training that goes well."""
    return [
        EpochRecord(
            number, 1 / number, 1 - 0.5 / number, 1.1 / number + 0.01 * number, 1 - 0.6 / number, [0.8] * 10, 0.1, 2.0,
            1.5, 30_000.0, 1e9 + number,
        )
        for number in range(1, count + 1)
    ]  # fmt: skip


def summary(run_id: str = RUN, **changes: Any) -> SummaryRecord:
    """A run that succeeded."""
    values: dict[str, Any] = {
        "model": "mlp",
        "trigger": "schedule",
        "synthetic": False,
        "dag_id": "fashion_training",
        "dag_run_id": "scheduled__2026-11-23",
        "git_commit": "c0ffee",
        "seed": 7,
        "parameters": RunConfig().flat(),
        "state": "succeeded",
        "started": 1.79e9,
        "updated": 1.79e9 + 60,
        "finished": 1.79e9 + 60,
        "stage": "publish",
        "stages": {
            "ingest": StageSummary(1, 5.0),
            "train": StageSummary(1, 46.0),
            "test": StageSummary(1, 1.2),
            "decide": StageSummary(1, 0.1),
        },
        "epochs": 6,
        "test_accuracy": 0.85,
        "decision": "ship",
        "reason": "better",
        "sentence": "Ship: better.",
    }
    return SummaryRecord(run_id, **{**values, **changes})


def dataset(sha256: str = "d" * 64, mean: float = 0.286, classes: list[str] = GARMENTS) -> DatasetRecord:
    """Fashion-MNIST as it is split, or another number of classes, equally many examples of each."""
    count = len(classes)
    splits = {name: SplitStatistics(n, [n // count] * count) for name, n in (("train", 55_000), ("test", EXAMPLES))}
    statistics = {"pixel_mean": mean, "pixel_stddev": 0.353}
    return DatasetRecord(sha256, "fashion-mnist", False, splits, {"test": "f" * 64}, classes, statistics=statistics)


@pytest.fixture
def make_facts() -> Callable[..., Facts]:
    """A complete run with a champion before it, of any classes; any part may be replaced."""

    def make(classes: list[str] = GARMENTS, **changes: Any) -> Facts:
        ours = predictions(1, classes=classes)
        theirs = predictions(2, ours.labels, skill=2.6, classes=classes)
        checks = [
            CheckRecord("accuracy_floor", "passed", 0.9, 0.88, None, None, "Test accuracy 90.00% reaches the floor."),
            CheckRecord("better", "passed", 0.012, 0.0, 0.004, 0.02, "The challenger is better than the champion."),
            CheckRecord("class_regression", "failed", 0.03, 0.05, None, None, "shirt got worse."),
        ]
        promotion = PromotionRecord(CHAMPION, "5" * 64, 1.78e9, "", "gate", "first")
        values: dict[str, Any] = {
            "run_id": RUN,
            "record": RunRecord(
                RUN, "mlp", "schedule", RunConfig().to_dict(), 7, "c0de", 1.79e9, False, classes=classes
            ),
            "summary": summary(),
            "dataset": Part(dataset(classes=classes)),
            "training": Part(TrainingRecord(1, epochs(6), "cpu", 2, "2", model_sha256="5" * 64, parameters=1_000)),
            "evaluation": Part(evaluation(ours)),
            "decision": Part(
                DecisionRecord(
                    "ship", "better", "Ship: better. So much.", checks, CHAMPION, "5", 1e9, split_decisions=23
                )
            ),
            "attempts": Part([AttemptRecord("train", 1, 1e9, "here", 1, 1e9 + 9, "succeeded", "", 9.0, 10**9)]),
            "predictions": Part(ours),
            "images": Part(np.random.default_rng(3).integers(0, 255, (EXAMPLES, 28, 28), dtype=np.uint8)),
            "champion_id": CHAMPION,
            "champion": Part(theirs),
            "champion_dataset": Part(dataset("e" * 64, 0.29, classes)),
            "past": [summary(CHAMPION, started=1.78e9, test_accuracy=0.83), summary()],
            "in_service": ChampionRecord(
                "mlp", CHAMPION, "5" * 64, 1.78e9, "", CHAMPION, "gate", "first", history=[promotion]
            ),
        }
        return Facts(**{**values, **changes})

    return make


def failed(facts: Facts, error: str) -> Facts:
    """The same run, had it failed while it trained."""
    gone: Part[Any] = Part(None, "The model was never tested: the run failed before.")
    attempt = AttemptRecord("train", 1, 1e9, "here", 1, 1e9 + 9, "failed", error, 9.0, 10**9)
    return dataclasses.replace(
        facts,
        summary=summary(
            state="failed",
            error=error,
            decision="",
            test_accuracy=None,
            stages={"ingest": StageSummary(1, 5.0), "train": StageSummary(1, 46.0)},
        ),
        training=Part(TrainingRecord(1, epochs(2))),
        evaluation=gone,
        decision=gone,
        attempts=Part([attempt]),
        predictions=gone,
        images=gone,
        champion_id="",
        champion=gone,
        champion_dataset=gone,
    )
