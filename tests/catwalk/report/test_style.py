"""The palette: stable, legible, and distinguishable with every kind of colour vision."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import matplotlib
import numpy as np
import pytest

from catwalk.ledger.runs import new_run_id
from catwalk.report.facts import Facts
from catwalk.report.figures import curves, style

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
_DEFICIENCIES = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    "none": np.eye(3).tolist(),
}


def linear(colour: str) -> np.ndarray:
    """Linear RGB, 0 to 1."""
    values = np.array([int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB for D65."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = matrix @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(first: str, second: str) -> float:
    """Contrast ratio as WCAG 2 defines it."""
    bright, dim = sorted((float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (first, second)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def test_a_run_keeps_its_colour() -> None:
    """These are golden values: changing them changes the colour of every run that people know."""
    assert style.run_style("20261123T030000Z-7f3a90c1") == style.RunStyle("#b175ea", (6, 1.6, 1.4, 1.6), "D")
    assert style.run_style("20261124T165404Z-545dfcf8") == style.RunStyle("#910037", (1.4, 1.6), "P")


def test_runs_spread_over_the_whole_palette() -> None:
    looks = [style.run_style(new_run_id()) for _ in range(2_000)]
    assert {look.colour for look in looks} == set(style.RUN_COLOURS)
    assert len(set(looks)) > 200


@pytest.mark.parametrize("deficiency", _DEFICIENCIES)
def test_colours_are_distinguishable(deficiency: str) -> None:
    matrix = np.array(_DEFICIENCIES[deficiency])
    for schemes in (style.RUN_COLOURS, [style.DARK[colour] for colour in style.RUN_COLOURS]):
        seen = {colour: lab(matrix @ linear(colour)) for colour in schemes}
        distances = {pair: float(np.linalg.norm(seen[pair[0]] - seen[pair[1]])) for pair in combinations(schemes, 2)}
        worst = min(distances, key=distances.__getitem__)
        assert distances[worst] > 15, (worst, distances[worst])
    good, bad = (lab(matrix @ linear(colour)) for colour in (style.GOOD, style.BAD))
    assert np.linalg.norm(good - bad) > 30


def test_lines_and_text_contrast_with_the_background() -> None:
    for light, dark in style.DARK.items():
        if light in (style.LINE, style.PAPER):
            continue
        least = 4.5 if light in (style.INK, style.QUIET, style.GOOD, style.BAD) else 3.0
        assert contrast(light, style.PAPER) >= least, light
        assert contrast(dark, style.DARK[style.PAPER]) >= least, dark


def test_an_svg_follows_the_scheme_and_a_png_does_not(make_facts: Callable[..., Facts]) -> None:
    drawing = curves.loss_and_accuracy(make_facts())
    svg = style.as_svg(drawing)
    body = svg.partition("</style>")[2]
    assert "prefers-color-scheme: dark" in svg
    assert not set(re.findall("#[0-9a-f]{6}", body)) & set(style.DARK)
    for variable in re.findall(r"var\((--c[0-9a-f]{6})\)", body):
        assert svg.count(f"{variable}:") == 2, "each variable has a light and a dark value"
    assert style.as_png(drawing).startswith(b"\x89PNG")


def test_drawing_touches_no_global_state_and_threads_do_not_disturb_each_other(
    make_facts: Callable[..., Facts],
) -> None:
    before = dict(matplotlib.rcParams)
    facts = make_facts()
    alone = style.as_png(curves.loss_and_accuracy(facts))
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: style.as_png(curves.loss_and_accuracy(facts)), range(4)))
    assert set(together) == {alone}
    assert dict(matplotlib.rcParams) == before
