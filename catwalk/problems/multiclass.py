"""One class out of several. Imports nothing heavy, since DAG files read it with the models that they train."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catwalk.errors import ArtifactError, ConfigError
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.values import class_names
from catwalk.problems.interface import Kind, Metric, Outcome, names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from catwalk.problems.paired.differences import Discordance

MARGIN = 0.005
"""Half a point of accuracy."""
_METRICS = (
    Metric("accuracy", "maximize", "ratio", "share of the examples that are classified right"),
    Metric("worst_recall", "maximize", "ratio", "accuracy within the class that is recognised worst"),
    Metric("macro_f1", "maximize", "ratio", "F1, every class counting the same"),
    Metric("log_loss", "minimize", "nats", "mean cross-entropy"),
    Metric("calibration_error", "minimize", "ratio", "expected calibration error over 15 equally wide bins"),
)


@dataclass(frozen=True)
class Multiclass:
    """Each example belongs to one of any number of classes.

    Scores are logits or probabilities, (n, classes), or the predicted classes alone, (n,). The headline is accuracy.
    """

    classes: tuple[str, ...] = ()
    """Names in label order, two at least; empty: they go by their numbers."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", names("Multiclass", self.classes))
        if len(self.classes) == 1:
            raise ConfigError(f"Multiclass: classes names two classes at least; got {self.classes!r:.100}")
        if len(set(self.classes)) < len(self.classes):
            raise ConfigError(f"Multiclass: classes names each class once; got {self.classes!r:.100}")

    @property
    def kind(self) -> Kind:
        """The word for it in records and labels."""
        return "multiclass"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The headline first; of predicted classes alone there is no log loss and no calibration error."""
        return _METRICS

    def measure(self, labels: Any, scores: Any) -> Outcome:
        """Scores a model's answers: see :meth:`catwalk.problems.interface.Problem.measure`.

        Args:
            labels: class indices, or names of classes, (n,).
            scores: logits, (n, classes), where each row is a distribution: probabilities; or predicted classes, (n,).

        Raises:
            InputError: they are not.
        """
        from catwalk.problems import scores as figures

        return figures.measure(self.classes, labels, scores)

    def paired(self, labels: NDArray[Any], challenger: NDArray[Any], baseline: NDArray[Any]) -> Discordance:
        """Counts for McNemar's exact test."""
        from catwalk.problems.paired.differences import Discordance

        return Discordance.of_losses(challenger, baseline)

    def margin(self, baseline: NDArray[Any]) -> float:
        """Half a point of accuracy, whatever the baseline's."""
        return MARGIN

    def tail(self, challenger: NDArray[Any], baseline: NDArray[Any], margin: float) -> None:
        """None: a loss of 0 or 1 has no tail."""

    def too_few(self, labels: NDArray[Any]) -> str:
        """Empty: the exact test is right with any number of examples."""
        return ""

    def slices(self, labels: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Each example's true class, by name."""
        import numpy as np

        named = np.asarray(self.classes, dtype=object)
        return {"class": named[labels] if self.classes else labels.astype(str).astype(object)}

    def checked(self, logits: Any, examples: int) -> NDArray[np.float32]:
        """What a model has answered to so many examples, as float32 (examples, classes).

        Raises:
            ArtifactError: it has another shape.
        """
        import numpy as np

        found = np.asarray(logits, dtype=np.float32)
        if found.shape != (examples, len(self.classes)):
            raise ArtifactError(
                f"the model answers with logits of shape {found.shape}, to {examples} examples of "
                f"{len(self.classes)} classes"
            )
        return found

    def evaluate(
        self,
        logits: NDArray[Any],
        labels: NDArray[Any],
        model_sha256: str,
        dataset_sha256: str,
        inference_seconds: float,
    ) -> EvaluationRecord:
        """All figures of one set of predictions. A class that is never predicted has precision and F1 of 0.

        Args:
            logits: floats (n, classes).
            labels: whole numbers (n,), the truth.
            model_sha256: of the weights that predicted.
            dataset_sha256: of the dataset that the examples belong to.
            inference_seconds: that it took.
        """
        from catwalk.problems import scores

        confusion = scores.confusion_matrix(labels, logits.argmax(axis=1), len(self.classes))
        recall, precision, f1 = scores.rates(confusion)
        return EvaluationRecord(
            model_sha256=model_sha256,
            dataset_sha256=dataset_sha256,
            examples=len(labels),
            accuracy=float(confusion.diagonal().sum() / len(labels)),
            loss=scores.cross_entropy(logits, labels),
            calibration_error=scores.calibration_error(logits, labels),
            class_accuracy=recall.tolist(),
            class_precision=precision.tolist(),
            class_f1=f1.tolist(),
            confusion=confusion.tolist(),
            inference_seconds=inference_seconds,
            finished=time.time(),
            classes=list(self.classes),
        )


def table(record: EvaluationRecord) -> str:
    """The score as text for a log: one line in all, one a class."""
    classes = class_names(record.classes, len(record.class_accuracy))
    width = max(map(len, classes))
    lines = [
        f"test accuracy {record.accuracy:.2%}   loss {record.loss:.4f}   "
        f"calibration error {record.calibration_error:.2%}   ({record.examples:,} examples)",
        f"{'class':<{width}}  accuracy  precision     F1  most often taken for",
    ]
    for label, name in enumerate(classes):
        mistakes = [count if other != label else 0 for other, count in enumerate(record.confusion[label])]
        worst = max(range(len(classes)), key=mistakes.__getitem__)
        confused = f"{classes[worst]} ({mistakes[worst]})" if mistakes[worst] else "-"
        lines.append(
            f"{name:<{width}}  {record.class_accuracy[label]:8.1%}  {record.class_precision[label]:9.1%}  "
            f"{record.class_f1[label]:5.1%}  {confused}"
        )
    return "\n".join(lines)
