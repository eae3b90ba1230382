"""One class out of several. Imports nothing heavy, since DAG files read it with the models that they train."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catwalk.errors import ArtifactError
from catwalk.ledger.records import EvaluationRecord, class_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Multiclass:
    """Each example belongs to one class, and a model gives each class a logit."""

    classes: tuple[str, ...]
    """Names in label order, two at least."""

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
