"""How many statements a program has more than another one, by their syntax trees."""

from __future__ import annotations

import ast
import math

_BODIES = ("body", "handlers", "orelse", "finalbody")
Statements = list[ast.AST]


def added(old: str, new: str) -> float:
    """Returns the number of new statements; a ``with`` around existing ones counts as one. Infinite: something else
    has changed too.
    """
    return _more(list(ast.parse(old).body), list(ast.parse(new).body))


def _more(old: Statements, new: Statements) -> float:
    if not new:
        return math.inf if old else 0
    head, rest = new[0], new[1:]
    if old and math.isfinite(grown := _grown(old[0], head)):
        return grown + _more(old[1:], rest)
    ways = [_size(head) + _more(old, rest)]
    if isinstance(head, ast.With):
        ways += [1 + _more(old[:end], list(head.body)) + _more(old[end:], rest) for end in range(1, len(old) + 1)]
    return min(ways)


def _grown(old: ast.AST, new: ast.AST) -> float:
    """Returns the number for one statement: 0 if both are equal, otherwise the new statements in its bodies."""
    if _header(old) != _header(new):
        return math.inf
    return sum(_more(getattr(old, name, []), getattr(new, name, [])) for name in _BODIES)


def _header(node: ast.AST) -> str:
    """Returns everything in a statement except the statements in it."""
    whole = type(node).__name__
    for name, value in ast.iter_fields(node):
        if name not in _BODIES:
            parts = value if isinstance(value, list) else [value]
            whole += f" {name}={[ast.dump(part) if isinstance(part, ast.AST) else part for part in parts]}"
    return whole


def _size(node: ast.AST) -> int:
    return sum(isinstance(inner, ast.stmt) for inner in ast.walk(node))
