"""Test images for which runs give different answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from catwalk.report.comparison.differences import Comparison
from catwalk.report.facts import MissingError, Predictions
from catwalk.report.figures import names, style
from catwalk.report.figures.examples import SHOWN, picture_grid


def disagreements(comparison: Comparison) -> style.Drawing:
    """Draws the test images about which the runs disagree most, among the classes that all runs have."""
    entries, images = comparison.comparable, comparison.baseline.images.get()
    if len(entries) < 2:
        raise MissingError(comparison.pairs[0].why)
    found = [entry.predictions.get() for entry in entries]
    common = [name for name in found[0].classes if all(name in other.classes for other in found)]
    images = images[found[0].indices(common)]
    if not len(images):
        raise MissingError("These runs have no tested class in common.")
    answers = [one.among(common) for one in found]
    return _of_two(answers, images) if len(answers) == 2 else _of_many(answers, images)


def _of_two(answers: Sequence[Predictions], images: NDArray[np.uint8]) -> style.Drawing:
    """Draws images that exactly one run has right, the most confident wrong answers first; each run gets half of the
    space.
    """
    baseline, other = answers
    chosen: list[int] = []
    for right, wrong in ((baseline, other), (other, baseline)):
        only = np.flatnonzero(right.right & ~wrong.right)
        chosen += only[np.argsort(-wrong.confidence[only], kind="stable")][: SHOWN // 2].tolist()
    if not chosen:
        raise MissingError("There are none: both runs are right about the same images.")
    classes = _classes(answers)
    written = names.drawn(classes)
    captions, descriptions, labels = [], [], set()
    for index in chosen:
        true = classes.index(baseline.truth[index])
        said = [classes.index(found.classes[found.predicted[index]]) for found in answers]
        labels |= {true, *said}
        captions.append((written[true], [written[label] for label in said], bool(baseline.right[index])))
        descriptions.append(f"{classes[true]}: {' and '.join(classes[label] for label in said)}")
    figure = picture_grid([images[index] for index in chosen], captions)
    only_baseline = int((baseline.right & ~other.right).sum())
    only_other = int((other.right & ~baseline.right).sum())
    note = (
        "Above each image: its class. Below: the answers of the baseline and of the other run. Blue: only the "
        "baseline is "
        f"right ({only_baseline:,} images); orange: only the other ({only_other:,})."
    )
    note = style.sentences(note, names.undrawn_note(classes, labels))
    return style.Drawing(
        figure, "Images that only one run gets right", f"{len(chosen)} images. {'; '.join(descriptions)}.", note
    )


def _classes(answers: Sequence[Predictions]) -> list[str]:
    """Returns the classes of all runs, those of the baseline first."""
    return list(dict.fromkeys(name for found in answers for name in found.classes))


def _of_many(answers: Sequence[Predictions], images: NDArray[np.uint8]) -> style.Drawing:
    """Draws the images whose votes are most evenly split, by entropy."""
    classes = _classes(answers)
    place = {name: label for label, name in enumerate(classes)}
    votes = np.stack([np.array([place[name] for name in found.classes])[found.predicted] for found in answers])
    truth = answers[0].truth
    counts = np.stack([(votes == label).sum(axis=0) for label in range(len(classes))], axis=1) / len(answers)
    entropy = -(counts * np.log(np.where(counts > 0, counts, 1))).sum(axis=1)
    chosen = [int(index) for index in np.argsort(-entropy, kind="stable")[:SHOWN] if entropy[index] > 0]
    if not chosen:
        raise MissingError("There are none: all runs give the same answers.")
    written = names.drawn(classes)
    captions, descriptions, labels = [], [], set()
    for index in chosen:
        ranking = Counter(votes[:, index].tolist()).most_common()
        true = place[str(truth[index])]
        labels |= {true, *(label for label, _ in ranking[:2])}
        lines = [f"{count}× {written[label]}" for label, count in ranking[:2]]
        captions.append((written[true], lines, ranking[0][0] == true))
        descriptions.append(
            f"{classes[true]}: {', '.join(f'{count} say {classes[label]}' for label, count in ranking)}"
        )
    figure = picture_grid([images[index] for index in chosen], captions)
    split = int((entropy > 0).sum())
    note = (
        f"Above each image: its class. Below: the two most frequent answers of the {len(answers)} runs. Blue: most "
        f"are right. The runs disagree about {split:,} of {len(truth):,} images."
    )
    note = style.sentences(note, names.undrawn_note(classes, labels))
    return style.Drawing(
        figure, "Images the runs disagree about most", f"{len(chosen)} images. {'; '.join(descriptions)}.", note
    )
