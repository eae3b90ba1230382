"""How often the paired tests of binary models and of regressions are right, by simulation.

The gate's own code decides. `python -m tests.bench.paired` writes docs/paired-tests.md in about four minutes.
tests.bench.gate does the same for many classes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import binomtest, wilcoxon

from catwalk.gate.decision import better, not_inferior, ship_or_hold
from catwalk.gate.judgement import guard, size
from catwalk.ledger.records.decision import Verdict
from catwalk.problems import Binary
from catwalk.problems.comparison import PairedTest, compare
from catwalk.problems.paired.differences import MeanDifference
from catwalk.problems.ranking import auc_losses
from stack.settings import PROJECT
from tests.bench.drawn_models import Drawn, Floats, Numbers, YesNo
from tests.bench.gate import say

NIGHTS = 365
YEARS = {"regression": 100, "binary": 40}
WORST = 1.4
"""No model's expected loss is more than this multiple of the usual model's."""
RATIOS = (1.05, 1.02, 1.0, 0.98, 0.95)
"""Expected loss of the challenger divided by the champion's."""
STRETCH = 1.3


def decided(drawn: Drawn, labels: Floats, champion: Floats, mine: Floats, *anchor: Floats, newer: bool) -> bool:
    """Returns whether the gate ships a challenger, without floors and slices, which can only hold a model."""
    test = compare(drawn.problem, labels, mine, champion)
    checks = [better(test), size(test), *_within(drawn, "champion", test, mine, champion)]
    for best in anchor:
        checks += _within(drawn, "anchor", compare(drawn.problem, labels, mine, best), mine, best)
    data: Verdict = "passed" if newer else "skipped"
    verdicts: dict[str, Verdict] = {check.check: check.verdict for check in checks}
    return ship_or_hold({"precondition": "passed", "newer_data": data, **verdicts})[0] == "ship"


def _within(drawn: Drawn, role: str, test: PairedTest, mine: Floats, other: Floats) -> list[Any]:
    return [not_inferior(f"not_inferior_{role}", role, test), *guard(drawn.problem, role, mine, other, test)]


# --- one decision


@dataclass(frozen=True)
class Shares:
    """Share of challengers with each result."""

    repetitions: int
    better: float
    worse: float
    inconclusive: float
    ships: float
    """Share that ships with newer data."""


def one_decision(generator: np.random.Generator, drawn: Drawn, n: int, ratio: float, repetitions: int) -> Shares:
    """Draws a new champion and a new challenger each time, with their own examples."""
    noise, found = np.array([[drawn.noise(1.0)], [drawn.noise(ratio)]]), []
    for _ in range(repetitions):
        examples = drawn.examples(generator, n)
        champion, mine = drawn.losses(generator, examples, noise).astype(np.float64)
        verdict = compare(drawn.problem, examples[1], mine, champion).verdict
        ships = decided(drawn, examples[1], champion, mine, newer=True)
        found.append([verdict == "better", verdict == "worse", verdict == "inconclusive", ships])
    return Shares(repetitions, *np.mean(found, axis=0).tolist())


# --- equal means, unlike losses


def rare_big_errors(generator: np.random.Generator, n: int, repetitions: int) -> list[float]:
    """Draws a challenger with the same mean absolute error, but 2 % big errors. Returns how often Student's t and
    Wilcoxon's test find a difference at 1 %, and how often the tail's guard does not pass and fails.
    """
    drawn, found = Numbers(), []
    usual = drawn.noise(1.0)
    rest = drawn.noise((drawn.expected(usual) - 0.02 * drawn.expected(2.5)) / 0.98 / drawn.expected(usual))
    for _ in range(repetitions):
        shared, labels = drawn.examples(generator, n)
        own = np.where(generator.random(n) < 0.02, 2.5, rest)
        champion, mine = (
            np.abs(shared + noise * generator.standard_normal(n)).astype(np.float64) for noise in (usual, own)
        )
        test = compare(drawn.problem, labels, mine, champion)
        verdict = guard(drawn.problem, "champion", mine, champion, test)[0].verdict
        differs = wilcoxon(mine - champion, method="asymptotic").pvalue < 0.01
        found.append([test.p < 0.01, differs, verdict != "passed", verdict == "failed"])
    return [float(share) for share in np.mean(found, axis=0)]


def too_sure(generator: np.random.Generator, n: int, repetitions: int) -> list[float]:
    """Returns the number of positives, and how often Student's t finds a difference at 1 % and a worse model at 5 %.
    The challenger has the same expected log loss, because it sees more but is overconfident (first) or underconfident
    (second).
    """
    usual, found = YesNo(), []
    for stretch in (STRETCH, 0.8):
        other = YesNo(stretch=stretch)
        for _ in range(repetitions):
            examples = usual.examples(generator, n)
            champion = usual.losses(generator, examples, np.array([[usual.usual]]))[0]
            mine = other.losses(generator, examples, np.array([[other.noise(1.0)]]))[0]
            statistic = usual.problem.paired(examples[1], mine.astype(float), champion.astype(float))
            found.append([statistic.p_value < 0.01, statistic.p_worse < 0.05])
    halves = np.asarray(found).reshape(2, repetitions, 2).mean(axis=1)
    return [float(share) for share in halves.ravel()]


# --- which test


def three_tests(generator: np.random.Generator, n: int, noise: float, stretch: float, repetitions: int) -> list[float]:
    """Returns how often log loss, AUC and the answer at 0.5 find a difference at 1 %."""
    usual, other, found = YesNo(), YesNo(stretch=stretch), []
    for _ in range(repetitions):
        logit, labels = usual.examples(generator, n)
        positive = labels == 1
        answers = [
            kind.probabilities(logit + own * generator.standard_normal(n), np.asarray(own)).astype(np.float64)
            for kind, own in ((other, noise), (usual, usual.usual))
        ]
        loss = [Binary().measure(labels, answer).loss for answer in answers]
        ranks = [auc_losses(positive, answer) for answer in answers]
        right = [(answer > 0.5) == positive for answer in answers]
        alone = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
        exact = binomtest(alone[0], sum(alone)).pvalue if sum(alone) else 1.0
        tests = [MeanDifference.of_losses(*pair, "", "").p_value for pair in (loss, ranks)]
        found.append([p < 0.01 for p in (*tests, exact)])
    return [float(share) for share in np.mean(found, axis=0)]


# --- a year of nights


@dataclass(frozen=True)
class Year:
    """The result of years of nightly decisions on one test set; an array holds one value for each year."""

    ships: Floats
    quality: Floats
    """Expected loss of the champion at the year's end, divided by that of the first one, less 1."""


Rule = Callable[[Drawn, Floats, Floats, Floats, Floats, bool], bool]


def lower_mean(drawn: Drawn, labels: Floats, champion: Floats, anchor: Floats, mine: Floats, newer: bool) -> bool:
    """Ships the model with the lower mean loss."""
    return bool(mine.mean() < champion.mean())


def gate(drawn: Drawn, labels: Floats, champion: Floats, anchor: Floats, mine: Floats, newer: bool) -> bool:
    """Applies the shipped rule."""
    return decided(drawn, labels, champion, mine, anchor, newer=newer)


def without_anchor(drawn: Drawn, labels: Floats, champion: Floats, anchor: Floats, mine: Floats, newer: bool) -> bool:
    """Applies the same rule, but forgets the best model that was ever promoted."""
    return decided(drawn, labels, champion, mine, newer=newer)


RULES: dict[str, Rule] = {"lower mean loss": lower_mean, "gate": gate, "gate without anchor": without_anchor}


def a_year(generator: np.random.Generator, drawn: Drawn, n: int, ship: Rule, worse: float, newer: bool) -> Year:
    """Simulates years with their own test sets; each night's challenger is worse than the champion by the given amount.

    Args:
        generator: The generator of all draws.
        drawn: The kind of model.
        n: The number of test examples.
        ship: The rule.
        worse: The expected loss of a challenger divided by the champion's, less 1.
        newer: Whether the challengers were trained on newer data.
    """
    ships, quality = np.zeros((2, YEARS[drawn.problem.kind]))
    for year in range(len(ships)):
        examples = drawn.examples(generator, n)
        labels, ratio, count = examples[1], 1.0, 0
        model = partial(_models, generator, drawn, examples)
        champion = anchor = model(1.0, 1)[0]
        waiting: list[Floats] = []
        for _ in range(NIGHTS):
            waiting = waiting or model(min(ratio * (1 + worse), WORST), 25)
            mine = waiting.pop()
            if not ship(drawn, labels, champion, anchor, mine, newer):
                continue
            champion, count, ratio, waiting = mine, count + 1, min(ratio * (1 + worse), WORST), []
            anchor = mine if mine.mean() < anchor.mean() else anchor
        ships[year], quality[year] = count, ratio - 1
    return Year(ships, quality)


def _models(
    generator: np.random.Generator, drawn: Drawn, examples: tuple[Floats, Floats], ratio: float, count: int
) -> list[Floats]:
    noise = np.full((count, 1), drawn.noise(round(ratio, 6)))
    return list(drawn.losses(generator, examples, noise).astype(np.float64))


# --- the page


def main() -> int:
    """Writes the page."""
    generator = np.random.default_rng(20_261_127)
    numbers, yes_no = Numbers(), YesNo()
    parts = [
        HEAD,
        REGRESSION.format(
            decisions=decisions(generator, numbers, ((200, 2_000), (2_000, 2_000), (10_000, 1_000)), "MAE"),
            unlike=unlike_regression(generator, ((200, 2_000), (2_000, 2_000), (10_000, 1_000))),
            years=years(generator, numbers, 2_000),
        ),
        BINARY.format(
            decisions=decisions(generator, yes_no, ((10_000, 1_000), (20_000, 1_000), (50_000, 500)), "log loss"),
            few=few_positives(generator, ((1_000, 4_000), (3_000, 4_000), (10_000, 2_000), (20_000, 1_000))),
            tests=which_test(generator, 50_000, 300),
            years=years(generator, yes_no, 20_000),
        ),
    ]
    (PROJECT / "docs" / "paired-tests.md").write_text("\n".join(parts))
    return 0


def decisions(generator: np.random.Generator, drawn: Drawn, sizes: Sequence[tuple[int, int]], metric: str) -> str:
    """Returns the table of one decision."""
    lines = [
        f"| examples | true {metric} | better | worse | inconclusive | ships with newer data | repetitions |",
        "|---|---|---|---|---|---|---|",
    ]
    for n, repetitions in sizes:
        for ratio in RATIOS:
            say(f"one decision, {metric}, {n} examples, {ratio}")
            found = one_decision(generator, drawn, n, ratio, repetitions)
            shares = (found.better, found.worse, found.inconclusive, found.ships)
            cells = " | ".join(percent(share, repetitions) for share in shares)
            lines.append(f"| {n:,} | {_change(ratio)} | {cells} | {repetitions:,} |")
    return "\n".join(lines)


def _change(ratio: float) -> str:
    return "equal" if ratio == 1 else f"{abs(ratio - 1):.0%} {'higher' if ratio > 1 else 'lower'}"


def unlike_regression(generator: np.random.Generator, sizes: Sequence[tuple[int, int]]) -> str:
    """Returns the table of rare big errors."""
    lines = [
        "| examples | Student's t | Wilcoxon | RMSE guard holds | RMSE guard: worse | repetitions |",
        "|---|---|---|---|---|---|",
    ]
    for n, repetitions in sizes:
        say(f"rare big errors, {n} examples")
        cells = " | ".join(percent(share, repetitions) for share in rare_big_errors(generator, n, repetitions))
        lines.append(f"| {n:,} | {cells} | {repetitions:,} |")
    return "\n".join(lines)


def few_positives(generator: np.random.Generator, sizes: Sequence[tuple[int, int]]) -> str:
    """Returns the table of few positives."""
    lines = [
        "| examples | positives, on average | overconfident: differs | overconfident: worse | underconfident: "
        "differs | underconfident: worse | repetitions |",
        "|---|---|---|---|---|---|---|",
    ]
    for n, repetitions in sizes:
        say(f"few positives, {n} examples")
        cells = " | ".join(percent(share, repetitions) for share in too_sure(generator, n, repetitions))
        lines.append(f"| {n:,} | {YesNo.share * n:.0f} | {cells} | {repetitions:,} |")
    return "\n".join(lines)


def which_test(generator: np.random.Generator, n: int, repetitions: int) -> str:
    """Returns the table of three tests."""
    lines = ["| challenger | log loss | AUC | answer at 0.5 |", "|---|---|---|---|"]
    for name, noise, stretch in (
        ("equally good", 1.0, 1.0),
        ("sees more (noise 0.7 instead of 1)", 0.7, 1.0),
        (f"ranks as well, overconfident (logits × {STRETCH})", 1.0, STRETCH),
    ):
        say(f"which test: {name}")
        found = three_tests(generator, n, noise, stretch, repetitions)
        lines.append(f"| {name} | {' | '.join(percent(share, repetitions) for share in found)} |")
    return "\n".join([*lines, "", f"{n:,} examples, {YesNo.share * n:,.0f} positives; {repetitions:,} repetitions."])


def years(generator: np.random.Generator, drawn: Drawn, n: int) -> str:
    """Returns the table of a year of nights."""
    lines = [
        "| rule | equally good, no newer data: ships a year | each 1 % worse, newer data: ships a year | "
        "the champion's loss after that year |",
        "|---|---|---|---|",
    ]
    for name, ship in RULES.items():
        say(f"a year of {drawn.problem.kind}: {name}")
        equal = a_year(generator, drawn, n, ship, 0.0, newer=False)
        sinking = a_year(generator, drawn, n, ship, 0.01, newer=True)
        change = f"{100 * sinking.quality.mean():+.1f} % ± {100 * _error(sinking.quality):.1f}"
        lines.append(f"| {name} | {_mean(equal.ships)} | {_mean(sinking.ships)} | {change} |")
    return "\n".join(
        [
            *lines,
            "",
            f"{YEARS[drawn.problem.kind]} years of {NIGHTS} nights each, {n:,} test examples. No challenger is "
            f"more than {WORST - 1:.0%} worse than the first champion.",
        ]
    )


def _mean(values: Floats) -> str:
    return f"{values.mean():.2f} ± {_error(values):.2f}"


def _error(values: Floats) -> float:
    return float(values.std(ddof=1)) / len(values) ** 0.5


def percent(share: float, repetitions: int) -> str:
    """Returns a share with its standard error; 0 and 1 have that of one case more or less."""
    within = min(max(share, 1 / repetitions), 1 - 1 / repetitions)
    return f"{share:.1%} ± {100 * (within * (1 - within) / repetitions) ** 0.5:.1f}"


HEAD = """<!-- Generated by `python -m tests.bench.paired`; don't edit. -->
# How two models are compared

This page answers: *which paired test does each kind of problem use, why that one, and how often is it right?*

Two models are compared on the same examples. Each example has a loss under both, and the mean of that loss *is* the
headline metric, so the test decides about the figure that you look at:

| problem | loss of an example | headline | test | margin by default |
|---|---|---|---|---|
| many classes | 0 or 1 | accuracy | McNemar's exact | 0.5 points |
| binary | log loss, probabilities clipped at 1e-6 | log loss | Student's paired t | 5 % of the baseline's |
| binary, `metric="auc"` | its share in 1 − AUC | AUC | Student's paired t on these: DeLong's test | 5 % of 1 − AUC |
| regression | absolute error | MAE, with RMSE as guard | Student's paired t | 5 % of the baseline's |

A comparison has one of four verdicts. If p is below `significance` (0.01, two-sided), the challenger is *better* or
*worse*. Otherwise, it is *indistinguishable* if the lower 95 % bound of the difference lies within the margin. Anything
else is *inconclusive*, for one of these reasons:

- The test set is too small: the margin is less than 2.49 standard errors, so the test would place fewer than 80 % of
  equally good models within it. The sentence says how many examples you need.
- There are fewer than 100 examples of one of the two classes (binary), or fewer than 30 examples (regression).
- The two test sets share fewer than 500 keys, or fewer than 80 % of the challenger's, and the other model can't be
  scored again. Figures on different examples are never compared, and an example whose label has changed is left out.
- The interval reaches beyond the margin.

A challenger with an inconclusive comparison never ships because its data is newer. The same test, one-sided and
corrected for all slices together (Holm), decides whether a slice got worse. A slice that is too small to test is left
out.

**No Wilcoxon test**: it compares the median of the differences, not their mean. It calls a model better that is a
little better on most examples and far worse on a few, and it becomes more certain with more examples: see the second
table. **Log loss penalises miscalibration alone**: by log loss, a model that ranks as well but is overconfident is
worse. AUC doesn't see that; choose AUC if only the order of the scores matters.

`python -m tests.bench.paired` simulates all figures below with the gate's own code and its default thresholds. ± is one
standard error, in points if the figure is a percentage. [gate.md](gate.md) has the figures for many classes.
"""

REGRESSION = """## Regression with heavy tails

The error that no model can avoid has the tails of Student's t with 3 degrees of freedom and a standard deviation of 1.
Each model adds noise of 0.4. Each repetition draws a new test set.

### One decision

{decisions}

The test should call 0.5 % of equally good models better and 0.5 % worse. At most 5 % of the models that are worse by
the margin (5 %) should ship with newer data.

### The same mean error, but with rare big errors

The challenger has smaller errors on 98 % of the examples and much larger ones on 2 %; its MAE equals the champion's. A
difference found at 1 % is false:

{unlike}

The guard holds the challenger unless its RMSE is clearly within the margin, and says *worse* if it is clearly beyond.

### A year of nights on one test set

{years}
"""

BINARY = """## Yes or no, with 1 % positives

The true logit has a standard deviation of 2. A model sees it with noise of 1 and answers with a fitted probability.

### One decision

{decisions}

With 10,000 examples, every second test set has fewer than 100 positives, and the gate says only that. The margin needs
more examples anyway, so only a clear difference ships.

### Few positives

The challenger has the same expected log loss as the champion, because it sees more but is overconfident (logits × 1.3)
or underconfident (× 0.8). A difference at 1 %, or a worse model at one-sided 5 %, is false. The fewer the positives,
the more often the tests find one, which is why the gate needs at least 100:

{few}

### Which test

How often each test finds a difference at 1 %:

{tests}

### A year of nights on one test set

{years}
"""


if __name__ == "__main__":
    sys.exit(main())
