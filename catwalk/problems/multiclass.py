"""One class out of several. Imports nothing heavy, because DAG files import it with the models that they train."""

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
    Metric("accuracy", "maximize", "ratio", "share of the examples that are classified correctly"),
    Metric("worst_recall", "maximize", "ratio", "lowest recall of any class"),
    Metric("macro_f1", "maximize", "ratio", "mean F1 of the classes, unweighted"),
    Metric("log_loss", "minimize", "nats", "mean cross-entropy"),
    Metric("calibration_error", "minimize", "ratio", "expected calibration error over 15 equally wide bins"),
)


@dataclass(frozen=True)
class Multiclass:
    """A problem in which each example belongs to one of any number of classes.

    Scores are logits or probabilities, (n, classes), or only the predicted classes, (n,). The headline is accuracy.
    """

    classes: tuple[str, ...] = ()
    """The names in label order, at least two; if empty, classes are identified by number."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", names("Multiclass", self.classes))
        if len(self.classes) == 1:
            raise ConfigError(f"Multiclass: classes must name at least two classes; got {self.classes!r:.100}")
        if len(set(self.classes)) < len(self.classes):
            raise ConfigError(f"Multiclass: classes must name each class only once; got {self.classes!r:.100}")

    @property
    def kind(self) -> Kind:
        """The word for it in records and labels."""
        return "multiclass"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics, the headline first; if there are only predicted classes, log loss and calibration error are not
        measured.
        """
        return _METRICS

    def measure(self, labels: Any, scores: Any) -> Outcome:
        """Scores a model's answers: see :meth:`catwalk.problems.interface.Problem.measure`.

        Args:
            labels: Class indices, or names of classes, (n,).
            scores: Logits or, if each row is a distribution, probabilities, (n, classes); or predicted classes, (n,).

        Raises:
            InputError: they are not.
        """
        from catwalk.problems import scores as figures

        return figures.measure(self.classes, labels, scores)

    def paired(self, labels: NDArray[Any], challenger: NDArray[Any], baseline: NDArray[Any]) -> Discordance:
        """Returns the counts for McNemar's exact test."""
        from catwalk.problems.paired.differences import Discordance

        return Discordance.of_losses(challenger, baseline)

    def margin(self, baseline: NDArray[Any]) -> float:
        """Returns half a point of accuracy, whatever the baseline's."""
        return MARGIN

    def tail(self, challenger: NDArray[Any], baseline: NDArray[Any], margin: float) -> None:
        """Returns None: a loss of 0 or 1 has no tail."""

    def too_few(self, labels: NDArray[Any]) -> str:
        """Returns an empty sentence: the exact test is valid with any number of examples."""
        return ""

    def slices(self, labels: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Returns each example's true class, by name."""
        import numpy as np

        named = np.asarray(self.classes, dtype=object)
        return {"class": named[labels] if self.classes else labels.astype(str).astype(object)}

    def checked(self, logits: Any, examples: int) -> NDArray[np.float32]:
        """Returns a model's answers to this many examples, as float32 (examples, classes).

        Raises:
            ArtifactError: it has a different shape.
        """
        import numpy as np

        found = np.asarray(logits, dtype=np.float32)
        if found.shape != (examples, len(self.classes)):
            raise ArtifactError(
                f"the model returns logits of shape {found.shape} for {examples} examples of "
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
        """Returns all results of one set of predictions. A class that is never predicted has precision and F1 of 0.

        Args:
            logits: Floats (n, classes).
            labels: The truth, whole numbers (n,).
            model_sha256: The sha256 of the weights.
            dataset_sha256: The sha256 of the examples' dataset.
            inference_seconds: How long the predictions took.
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
    """Returns the score as text for a log: one line overall, and one per class."""
    classes = class_names(record.classes, len(record.class_accuracy))
    width = max(map(len, classes))
    lines = [
        f"test accuracy {record.accuracy:.2%}   loss {record.loss:.4f}   "
        f"calibration error {record.calibration_error:.2%}   ({record.examples:,} examples)",
        f"{'class':<{width}}  accuracy  precision     F1  most often predicted as",
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
