"""How well each class is recognised, and what it is taken for."""

from __future__ import annotations

from matplotlib.patches import Rectangle

from catwalk.report import style
from catwalk.report.facts import Facts, MissingError
from catwalk.report.statistics import wilson
from ml.fashion_mnist.config import CLASSES


def class_accuracy(facts: Facts) -> style.Drawing:
    """Test accuracy of each class with Wilson 95 % intervals, the champion beside the challenger."""
    confusion = _confusion(facts)
    ours = {name: (confusion[label][label], sum(confusion[label])) for label, name in enumerate(CLASSES)}
    theirs: dict[str, tuple[int, int]] = {}
    if facts.champion.value is not None:
        other = facts.champion.value
        for label, name in enumerate(CLASSES):
            of_class = other.labels == label
            theirs[name] = int(other.right[of_class].sum()), int(of_class.sum())
    figure = style.new_figure(4.5)
    axes = style.add_axes(figure, 0.92, 0.42, 3.2, 3.7)
    rows = [("challenger", facts.run_id, ours, -0.16 if theirs else 0.0, "o")]
    if theirs:
        rows.append(("champion", facts.champion_id, theirs, 0.16, "D"))
    for role, run_id, scores, offset, marker in rows:
        colour = style.run_style(run_id).colour
        ratios = [hits / n if n else float("nan") for hits, n in scores.values()]
        bounds = [wilson(hits, n) for hits, n in scores.values()]
        axes.errorbar(
            ratios,
            [label + offset for label in range(len(CLASSES))],
            xerr=[
                [max(0.0, ratio - low) for ratio, (low, _) in zip(ratios, bounds, strict=True)],
                [max(0.0, high - ratio) for ratio, (_, high) in zip(ratios, bounds, strict=True)],
            ],
            linestyle="none",
            marker=marker,
            markersize=4.2,
            color=colour,
            markerfacecolor=colour if role == "challenger" else style.PAPER,
            elinewidth=1.5 if role == "challenger" else 0.9,
            capsize=2,
            label=f"{role}, {run_id}",
        )
    style.class_rows(axes)
    style.percent_axis(axes.xaxis)
    style.label(axes, "test accuracy (recall), 95 % interval")
    told = ", ".join(
        f"{name} {_share(ours[name])}" + (f" (champion {_share(theirs[name])})" if theirs else "") for name in CLASSES
    )
    note = "" if theirs else f"The champion is not shown. {facts.champion.why}"
    return style.Drawing(figure, "Test accuracy by class", f"Points with 95 % intervals by class: {told}.", note)


def _share(score: tuple[int, int]) -> str:
    hits, examples = score
    return f"{hits / examples:.1%}" if examples else "no examples"


def _confusion(facts: Facts) -> list[list[int]]:
    """
    Raises:
        MissingError: the model was not tested, or the record is damaged.
    """
    confusion = facts.evaluation.get().confusion
    if [len(row) for row in confusion] != [len(CLASSES)] * len(CLASSES):
        raise MissingError("The confusion matrix in evaluation.json is damaged.")
    return confusion


def confusion_matrix(facts: Facts) -> style.Drawing:
    """Test images by true and predicted class: shade and per cent of the row, and counts."""
    confusion = _confusion(facts)
    n = len(CLASSES)
    figure = style.new_figure(4.5)
    axes = style.add_axes(figure, 0.82, 0.92, 3.4, 3.45)
    worst = (0, 0, 1)
    for true, row in enumerate(confusion):
        total = max(1, sum(row))
        for predicted, count in enumerate(row):
            share = count / total
            colour = style.GOOD if true == predicted else style.BAD
            # Mistakes are rare: their shade is stretched so that one in four is as dark as all.
            depth = share if true == predicted else min(1.0, 4 * share)
            if count:
                patch = Rectangle(
                    (predicted - 0.5, true - 0.5), 1, 1, facecolor=colour, alpha=0.06 + 0.84 * depth, edgecolor="none"
                )
                axes.add_patch(patch)
            text = style.ON_COLOUR if depth > 0.55 else style.INK if count else style.QUIET
            percent = f"{100 * share:.0f}%" if share >= 0.01 else "<1%"
            axes.text(
                predicted,
                true,
                f"{percent}\n{count}" if count else "·",
                color=text,
                fontsize=6.6,
                ha="center",
                va="center",
                linespacing=1.15,
            )
            if true != predicted and count > worst[0]:
                worst = count, true, predicted
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_xticks(range(n), CLASSES, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), CLASSES)
    axes.tick_params(labelcolor=style.INK)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel("predicted class", color=style.QUIET, fontsize=style.SMALL, labelpad=1)
    axes.text(
        -0.22, 1.012, "true class", transform=axes.transAxes, color=style.QUIET, fontsize=style.SMALL, va="bottom"
    )
    count, true, predicted = worst
    told = "; ".join(
        f"{CLASSES[label]}: {row[label]} of {sum(row)} right" + _taken_for(row, label)
        for label, row in enumerate(confusion)
    )
    note = "Per cent of the row's images, and their number. Blue: right; orange: wrong, in a stretched shade."
    if count:
        note += f" Most frequent mistake: {CLASSES[true]} taken for {CLASSES[predicted]}, {count} times."
    return style.Drawing(figure, "Confusion matrix, normalised by row", f"A table of ten by ten classes. {told}.", note)


def _taken_for(row: list[int], label: int) -> str:
    mistakes = [count if other != label else 0 for other, count in enumerate(row)]
    most = max(range(len(mistakes)), key=mistakes.__getitem__)
    return f", most often taken for {CLASSES[most]} ({mistakes[most]})" if mistakes[most] else ""
