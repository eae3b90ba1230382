"""PromQL for a Prometheus that also has other series: it reads only ours, with the same results.

Every selector gets the labels that our series have there; raw ones also get our jobs. Every aggregation and every `on`
keeps these labels, so that operands still match: recorded series have them from their rule. Expressions only about
servers that the guest does not scrape for us are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import promql_parser as ast

from catwalk.bundle.options import STACK

_EVERY_JOB = ("exporter", "statsd_exporter", "courier", "registry", "alertmanager", "prometheus")
"""Jobs of our own stack; `registry` is the exporter's name in the previous release."""
_THEIRS = ("prometheus_", "alertmanager_")
"""Metrics of the guest's own servers, which the guest watches."""
_COURIERS = "catwalk_courier_"
"""Metrics of a server that the guest may not run."""
_SERVICES = ("catwalk_service_", "catwalk_reference_", "catwalk_server_")
"""Metrics of a guest's own services, from a PredictionMonitor or `catwalk serve`, whatever the names of their jobs."""
_ALERTS = ("ALERTS", "ALERTS_FOR_STATE")
"""The series that Prometheus writes for alerts: their states, and since when."""
_ALIVE = "threshold:baseline_runs:min"
"""A series that exists exactly while rules are evaluated, like our Watchdog; a guest already has an alert of that name.
"""
_MACROS = {
    "$__rate_interval": ast.display_duration(timedelta(milliseconds=86_399_991)),
    "$__interval": ast.display_duration(timedelta(milliseconds=86_399_992)),
    "$__range": ast.display_duration(timedelta(milliseconds=86_399_993)),
    "$newest": "86399",
}
"""Grafana's windows, and a dashboard's variable that is a number → their placeholders during parsing: values that no
expression contains."""


@dataclass(frozen=True)
class Scope:
    """Which series are ours."""

    labels: Mapping[str, str]
    """The labels that each of them has."""
    jobs: Mapping[str, str]
    """The job that scrapes each part."""
    records: Collection[str]
    """The names that rules record."""


def rewritten(expression: str, scope: Scope) -> str | None:
    """Returns the expression over our series only; None if it uses none of them."""
    text = _Writer(scope).of(ast.parse(_plain(expression)), top=True)
    # `prettify` would remove the escapes in its strings.
    pretty = text if text is None or "\\" in text else ast.parse(text).prettify()
    for macro, plain in _MACROS.items():
        pretty = pretty and pretty.replace(plain, macro)
    return pretty


def without_labels(expression: str, names: Iterable[str]) -> str:
    """Returns the same series without these labels, as a dashboard of a single Catwalk shows them."""
    if _is_scalar(ast.parse(_plain(expression))):
        return expression
    for name in names:
        expression = f'label_replace({expression}, "{name}", "", "", "")'
    return expression


def _plain(expression: str) -> str:
    for macro, plain in _MACROS.items():
        expression = expression.replace(macro, plain)
    return expression


def _is_scalar(node: ast.Expr) -> bool:
    match node:
        case ast.NumberLiteral():
            return True
        case ast.Call():
            return bool(node.func.return_type == ast.ValueType.Scalar)
        case ast.ParenExpr() | ast.UnaryExpr():
            return _is_scalar(node.expr)
        case ast.BinaryExpr():
            return _is_scalar(node.lhs) and _is_scalar(node.rhs)
    return False


class _Writer:
    """Rewrites an expression; None stands for one that has no series."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def of(self, node: ast.Expr, top: bool = False) -> str | None:
        match node:
            case ast.VectorSelector():
                return self._selector(node)
            case ast.MatrixSelector():
                return self._window(node)
            case ast.SubqueryExpr():
                return self._subquery(node)
            case ast.AggregateExpr():
                return self._aggregation(node)
            case ast.BinaryExpr():
                return self._binary(node)
            case ast.Call():
                return self._call(node, top)
            case ast.ParenExpr():
                return _around("(", self.of(node.expr), ")")
            case ast.UnaryExpr():
                return _around("-", self.of(node.expr), "")
            case ast.StringLiteral():
                return _quoted(node.val)
        return str(node)

    def _selector(self, node: ast.VectorSelector, window: str = "") -> str | None:
        name, matchers = node.name or "", list(node.matchers.matchers)
        if name in _ALERTS:
            if any(each.name == "alertname" and each.value == "Watchdog" for each in matchers):
                name, matchers = _ALIVE, []
            else:
                matchers.append(_equal(*STACK))
        found = self._ours(name, matchers)
        if found is None:
            return None
        inside = ", ".join(map(_matcher, [*found, *(_equal(*label) for label in self._scope.labels.items())]))
        return f"{name}{f'{{{inside}}}' if inside else ''}{window}{_offset(node.offset)}"

    def _ours(self, name: str, matchers: list[ast.Matcher]) -> list[ast.Matcher] | None:
        """Returns the matchers with the jobs' names there; None if they match nothing of ours."""
        is_record = ":" in name or any(each.name == "__name__" and ":" in each.value for each in matchers)
        counted = [each.value for each in matchers if each.name == "counter"]
        absent = _THEIRS if "courier" in self._scope.jobs else (*_THEIRS, _COURIERS)
        if any(each.startswith(absent) for each in (name, *counted)) or (
            ":" in name and name not in self._scope.records
        ):
            return None
        of_jobs = [each for each in matchers if each.name == "job"]
        if not of_jobs and (is_record or name in _ALERTS or name.startswith(_SERVICES)):
            return matchers
        jobs = [self._scope.jobs[job] for job in _EVERY_JOB if job in self._scope.jobs and _all_match(of_jobs, job)]
        return [each for each in matchers if each.name != "job"] + [_one_of("job", jobs)] if jobs else None

    def _window(self, node: ast.MatrixSelector) -> str | None:
        return self._selector(node.vector_selector, f"[{ast.display_duration(node.range)}]")

    def _subquery(self, node: ast.SubqueryExpr) -> str | None:
        range_, step = (ast.display_duration(each) if each else "" for each in (node.range, node.step))
        return _around("", self.of(node.expr), f"[{range_}:{step}]{_offset(node.offset)}")

    def _aggregation(self, node: ast.AggregateExpr) -> str | None:
        inner = self.of(node.expr)
        if inner is None:
            return None
        kept = list(node.modifier.labels) if node.modifier else []
        if node.modifier and node.modifier.type == ast.AggModifierType.Without:
            grouping = f" without ({', '.join(kept)}) "
        else:
            kept += self._scope.labels
            grouping = f" by ({', '.join(kept)}) " if kept else ""
        parameter = "" if node.param is None else f"{self.of(node.param)}, "
        return f"{node.op}{grouping}({parameter}{inner})"

    def _binary(self, node: ast.BinaryExpr) -> str | None:
        left, right, operator = self.of(node.lhs), self.of(node.rhs), str(node.op)
        if left is None or right is None:
            return {"or": left if right is None else right, "unless": left}.get(operator)
        return f"{left} {operator} {self._matching(node.modifier)}{right}"

    def _matching(self, modifier: ast.BinModifier | None) -> str:
        if modifier is None:
            return ""
        text = "bool " if modifier.return_bool else ""
        if modifier.matching is not None:
            on = modifier.matching.type == ast.LabelModifierType.Include
            labels = [*modifier.matching.labels, *(self._scope.labels if on else ())]
            text += f"{'on' if on else 'ignoring'} ({', '.join(labels)}) "
        if modifier.card not in (ast.VectorMatchCardinality.ManyToOne, ast.VectorMatchCardinality.OneToMany):
            return text
        side = "group_left" if modifier.card == ast.VectorMatchCardinality.ManyToOne else "group_right"
        return f"{text}{side} ({', '.join(modifier.group_labels or ())}) "

    def _call(self, node: ast.Call, top: bool) -> str | None:
        arguments = [self.of(argument) for argument in node.args]
        if any(argument is None for argument in arguments):
            return None
        if node.func.name == "timestamp" and not isinstance(node.args[0], ast.VectorSelector):
            arguments = [f"({arguments[0]}) + 0"]  # for a bare selector, it would be the time of the sample
        text = f"{node.func.name}({', '.join(map(str, arguments))})"
        # These functions create series without our labels; a rule adds its own labels to what it records.
        bare = node.func.name == "vector" or (
            node.func.name == "absent" and not isinstance(node.args[0], ast.VectorSelector)
        )
        if bare and not top:
            for name, value in self._scope.labels.items():
                text = f'label_replace({text}, "{name}", {_quoted(value)}, "", "")'
        return text


def _around(before: str, text: str | None, behind: str) -> str | None:
    return None if text is None else f"{before}{text}{behind}"


def _offset(offset: timedelta | None) -> str:
    if offset is None:
        return ""
    return f" offset {'-' if offset < timedelta() else ''}{ast.display_duration(abs(offset))}"


def _all_match(matchers: Iterable[ast.Matcher], value: str) -> bool:
    return all(_matches(each, value) for each in matchers)


def _matches(matcher: ast.Matcher, value: str) -> bool:
    if matcher.op in (ast.MatchOp.Equal, ast.MatchOp.NotEqual):
        return (matcher.value == value) == bool(matcher.op == ast.MatchOp.Equal)
    return bool(re.fullmatch(matcher.value, value)) == bool(matcher.op == ast.MatchOp.Re)


def _equal(name: str, value: str) -> ast.Matcher:
    return ast.Matcher(ast.MatchOp.Equal, name, value)


def _one_of(name: str, values: list[str]) -> ast.Matcher:
    if len(values) == 1:
        return _equal(name, values[0])
    pattern = "|".join(re.sub(r"([.+])", r"[\1]", value) for value in values)
    return ast.Matcher(ast.MatchOp.Re, name, pattern)


def _matcher(matcher: ast.Matcher) -> str:
    signs = ((ast.MatchOp.Equal, "="), (ast.MatchOp.NotEqual, "!="), (ast.MatchOp.Re, "=~"), (ast.MatchOp.NotRe, "!~"))
    [sign] = [sign for operator, sign in signs if operator == matcher.op]
    return f"{matcher.name}{sign}{_quoted(matcher.value)}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
