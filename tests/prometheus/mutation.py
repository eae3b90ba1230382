"""Small faults that a rule may have: the tests are good if each fault makes one of them fail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.prometheus.rulebook import Rule

_OPPOSITES = {
    "==": "!=",
    "!=": "==",
    ">": "<",
    "<": ">",
    ">=": "<",
    "<=": ">",
    "and": "or",
    "or": "and",
    "unless": "and",
    "topk": "bottomk",
    "bottomk": "topk",
    "min by": "max by",
}
_ARITHMETIC = {"+": "-", "-": "+", "*": "/", "/": "*"}
_WORDS = re.compile(r"==|!=|>=|<=|>|<|\b(?:and|or|unless|topk|bottomk)\b|\bmin by\b|(?<=\s)[-+*/] ")
_JOIN = re.compile(r"\* on \([\w, ]+\) group_left \(([\w, ]+)\) (?:\(\s*)?([\w:]+:info)\b")
"""What takes a label from a series that is always 1: it may as well be divided by, so the label is lost instead."""
_OF_ONES = re.compile(r"\bgroup by \([^()]*\) \([^()]*\) (?=\*)")
"""What is 1 everywhere: a number that is 1 too may as well divide it, so it is added instead."""
_MASKED = re.compile(r'\{[^}]*\}|\[[^\]]*\]|"[^"]*"')
"""Selectors, ranges and texts: what stands there is no operator."""


@dataclass(frozen=True)
class Mutant:
    """A rule, and its changed version."""

    rule: Rule
    change: str
    """What is wrong now, in a few words."""
    mutated: Rule | None
    """None: the rule is gone."""


def mutants(rule: Rule) -> Iterator[Mutant]:
    """Every operator replaced by its opposite, one at a time; no `for`; no rule; a threshold moved a little."""
    yield Mutant(rule, "removed", None)
    if rule.name.startswith("threshold:"):
        yield from _moved(rule)
        return
    if "for" in rule.body:
        yield Mutant(rule, f"without for: {rule.body['for']}", rule.changed(**{"for": None}))
    for found in _JOIN.finditer(rule.expression):
        expression = rule.expression[: found.start(1)] + rule.expression[found.end(1) :]
        yield Mutant(rule, f"without {found[1]} of {found[2]}", rule.changed(expr=expression))
    masked = _MASKED.sub(_blank, _JOIN.sub(_blank, rule.expression))
    ones = {found.end() for found in _OF_ONES.finditer(masked)}
    for found in _WORDS.finditer(masked):
        word = found[0]
        other = "+ " if found.start() in ones else _OPPOSITES.get(word) or f"{_ARITHMETIC[word.strip()]} "
        expression = rule.expression[: found.start()] + other + rule.expression[found.end() :]
        line = masked[: found.start()].count("\n") + 1
        yield Mutant(rule, f"{word.strip()} → {other.strip()} in line {line}", rule.changed(expr=expression))


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def _moved(rule: Rule) -> Iterator[Mutant]:
    """A tenth down and up; what is counted in whole numbers (no decimal point, below 100), by one."""
    text = re.fullmatch(r"vector\(([\d.]+)\)", rule.expression)
    assert text, f"{rule.name} is no constant"
    value = float(text[1])
    counted = "." not in text[1] and value < 100
    for other in (value - 1, value + 1) if counted else (value * 0.9, value * 1.1):
        yield Mutant(rule, f"{value:g} → {other:g}", rule.changed(expr=f"vector({other})"))
