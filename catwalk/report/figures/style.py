"""The look of all figures: colours, line styles, sizes. No pyplot and no rcParams, so threads don't affect each other.

A figure is drawn once, in the light colours. :func:`as_png` keeps them; :func:`as_svg` replaces each colour of the
palette with a variable that follows the reader's light or dark scheme.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import Bbox, ScaledTranslation

from catwalk.report.figures import names
from catwalk.web import palette

WIDTH = 4.3
"""The width in inches: small, so that text stays legible on a phone that shows the figure 358 pixels wide."""
TITLE_HEIGHT = 0.34
"""The space at the top in inches, which only the PNG has: in the page, the title is text."""
Corner = Literal["upper left", "upper right", "lower left", "lower right"]
SMALL = 8.0
"""The font size in points, except for titles and text that must fit a cell."""
PNG_DPI = 150

INK, QUIET, LINE, PAPER = palette.INK.light, palette.QUIET.light, palette.LINE.light, palette.CARD.light
GOOD, BAD = palette.GOOD.light, palette.BAD.light
ON_COLOUR, STAR = palette.ON_COLOUR, palette.STAR.light
RUN_COLOURS = tuple(colour.light for colour in palette.RUNS)
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.8), (1.4, 1.6), (6, 1.6, 1.4, 1.6), (9, 2.5))
MARKERS = "osD^vP"
DARK = {
    colour.light: colour.dark
    for colour in (palette.INK, palette.QUIET, palette.LINE, palette.CARD, palette.GOOD, palette.BAD, *palette.RUNS)
}
"""The replacement for each light colour in the dark scheme."""


@dataclass(frozen=True)
class RunStyle:
    """The look of a run's lines and points, in every figure."""

    colour: str
    dashes: tuple[float, ...]
    """The lengths of dashes and gaps in line widths; empty for a solid line."""
    marker: str


def run_style(run_id: str) -> RunStyle:
    """Returns a style that depends only on the run id, so that a run looks the same in every report."""
    number = int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:6], "big")
    number, colour = divmod(number, len(RUN_COLOURS))
    number, dashes = divmod(number, len(DASHES))
    return RunStyle(RUN_COLOURS[colour], DASHES[dashes], MARKERS[number % len(MARKERS)])


@dataclass(frozen=True)
class Drawing:
    """A figure, with its description in words."""

    figure: Figure
    title: str
    alt: str
    """The text alternative: what is shown, with its main numbers."""
    note: str = ""
    """The sentence below it."""


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Returns an empty figure, in inches; the title's strip is added to the height."""
    figure = Figure(figsize=(width, height + TITLE_HEIGHT), facecolor=PAPER)
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Adds axes at a position in inches from the lower left corner, with a light frame and a grid behind the data."""
    w, h = figure.get_size_inches()
    axes = figure.add_axes((left / w, bottom / h, width / w, height / h), facecolor="none")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LINE)
    axes.tick_params(which="both", colors=QUIET, labelsize=SMALL, length=0, pad=4)
    axes.grid(color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def label(axes: Axes, x: str = "", y: str = "") -> None:
    """Labels the axes, with units; the y axis has its label above, where it is horizontal."""
    if x:
        axes.set_xlabel(x, color=QUIET, fontsize=SMALL, labelpad=3)
    if y:
        axes.annotate(
            y,
            (0, 1),
            (-26, 6),
            xycoords="axes fraction",
            textcoords="offset points",
            color=QUIET,
            fontsize=SMALL,
            ha="left",
            va="bottom",
            annotation_clip=False,
        )


def legend(axes: Axes, place: Corner, columns: int = 1) -> None:
    """Adds a legend without a visible frame."""
    axes.legend(
        loc=place,
        fontsize=SMALL,
        labelcolor=INK,
        frameon=True,
        framealpha=0.85,
        facecolor=PAPER,
        edgecolor="none",
        borderpad=0.3,
        handlelength=1.9,
        columnspacing=1.1,
        handletextpad=0.5,
        ncols=columns,
    )


def class_figure(classes: Sequence[str], shown: Sequence[int], above: float = 0.38) -> tuple[Figure, Axes]:
    """Returns a figure with a row for each shown class, the first on top.

    Args:
        classes: The names of all classes, in label order.
        shown: The labels, in the order of the rows.
        above: The space for a legend, in inches.
    """
    written = names.drawn(classes)
    rows, widest = names.fitted((written[label] for label in shown), 1.6, SMALL)
    left = max(0.92, widest + 0.12)
    height = len(rows) * (0.37 if len(rows) <= 10 else 0.24)
    figure = new_figure(0.42 + height + above)
    axes = add_axes(figure, left, 0.42, WIDTH - 0.18 - left, height)
    axes.set_yticks(range(len(rows)), rows, **names.text_style())
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    return figure, axes


def legend_above(axes: Axes, lift: float = 0.0) -> None:
    """Adds a legend above the axes, where it covers no row; `lift` inches higher if there is a label."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.024 / WIDTH, axes.get_position().y1),
        bbox_transform=axes.figure.transFigure + ScaledTranslation(0, lift, axes.figure.dpi_scale_trans),
        fontsize=SMALL,
        labelcolor=INK,
        frameon=False,
        borderpad=0,
        handletextpad=0.3,
        labelspacing=0.25,
    )


def sentences(*texts: str) -> str:
    """Returns the nonempty sentences, joined."""
    return " ".join(filter(None, texts))


def epoch_axis(axes: Axes, epochs: Sequence[int]) -> None:
    """Sets the axis to whole epochs, from the first to the last."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=1))
    margin = max(0.3, 0.03 * (epochs[-1] - epochs[0]))
    axes.set_xlim(epochs[0] - margin, epochs[-1] + margin)


def percent_axis(axis: Axis) -> None:
    """Shows the ticks of a ratio as percentages."""

    def text(value: float, position: int) -> str:
        return f"{100 * value:.4g}%"

    axis.set_major_formatter(FuncFormatter(text))


def as_png(drawing: Drawing) -> bytes:
    """Returns the figure with its title, on white."""
    figure = drawing.figure
    width, height = figure.get_size_inches()
    title = figure.text(
        0.1 / width, 1 - 0.1 / height, drawing.title, color=INK, fontsize=10, fontweight="bold", ha="left", va="top"
    )
    body = io.BytesIO()
    figure.savefig(body, format="png", dpi=PNG_DPI, pil_kwargs={"compress_level": 4})
    title.remove()
    return body.getvalue()


def as_svg(drawing: Drawing) -> str:
    """Returns the figure without its title, transparent, in colours that follow the reader's scheme."""
    figure = drawing.figure
    width, height = figure.get_size_inches()
    body = io.StringIO()
    figure.savefig(
        body,
        format="svg",
        facecolor="none",
        bbox_inches=Bbox([[0, 0], [width, height - TITLE_HEIGHT]]),
        metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
    )
    text = body.getvalue()
    text = text[text.index("<svg") :]
    used = [colour for colour in DARK if colour in text]
    text = re.sub("#[0-9a-f]{6}", lambda match: _variable(match[0]), text)
    head, svg_tag, rest = text.partition(">")
    schemes = _scheme({light: light for light in used}) + _scheme({light: DARK[light] for light in used}, "dark")
    return f"{head}{svg_tag}<style>{schemes}</style>{rest}"


def _variable(colour: str) -> str:
    return f"var(--c{colour[1:]})" if colour in DARK else colour


def _scheme(colours: dict[str, str], scheme: str = "") -> str:
    rules = ":root{" + ";".join(f"--c{light[1:]}:{shown}" for light, shown in colours.items()) + "}"
    return f"@media (prefers-color-scheme: {scheme}){{{rules}}}" if scheme else rules
