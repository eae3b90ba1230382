"""Finds in Airflow's source the names that it sends over StatsD, without importing or running any of it.

Parts of a name that are known only at run time are in braces: ``ti.finish.{dag_id}.{task_id}.{state}``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

METHODS = ("incr", "decr", "gauge", "timing", "timer")
BUILT_ELSEWHERE = {"get_metric_info": ("callback_{status}", "deadline_alerts.callback_{status}")}
"""A function that returns a name and its tags, and the names that it returns."""
GIVEN = {
    "stats_key": ("ol.event.size.{event_type}.{operator_name}",),
    "stats_prefix": ("api_server.dag_bag", "scheduler.dag_bag"),
}
"""An argument that a name begins with, and the values that callers pass."""
_TAGS = ("tags", "extra_tags")
_OF_THE_CLIENT = ("/metrics/", "/observability/", "/stats.py")
_REGISTRY = "airflow/_shared/observability/metrics/metrics_template.yaml"


@dataclass(frozen=True)
class Sent:
    """What a place in Airflow's source sends."""

    method: str
    name: str
    tags: tuple[str, ...]
    """Names of the tags, as far as they are literal."""

    def __str__(self) -> str:
        return f"{self.method} {self.name} {','.join(self.tags) or '-'}"


def sent(packages: Path) -> list[Sent]:
    """Returns everything that the Airflow and the providers in a folder of packages send, including legacy names.

    Raises:
        ValueError: The source builds a name in a new way; the message says where.
    """
    found = []
    for path in sorted((packages / "airflow").rglob("*.py")):
        relative = path.relative_to(packages).as_posix()
        text = path.read_text()
        if "stats" in text.lower() and not any(part in f"/{relative}" for part in _OF_THE_CLIENT):
            found += list(_File(ast.parse(text), relative).sent())
    return found + list(_legacy(packages / _REGISTRY))


def _legacy(registry: Path) -> Iterator[Sent]:
    """Names that contain tags. Airflow 3.2 and newer build them with their registry, beside the name with separate
    tags.
    """
    methods = {"counter": "incr", "gauge": "gauge", "timer": "timing"}
    entries = yaml.safe_load(registry.read_text())["metrics"] if registry.exists() else []
    for entry in entries:
        if entry.get("legacy_name", "-") != "-":
            yield Sent(methods[entry["type"]], entry["legacy_name"], ())


@dataclass
class _File:
    tree: ast.Module
    path: str
    assigned: dict[str, list[ast.expr]] = field(default_factory=dict)
    """Maps a variable, attribute or function of this file → what it is set to or returns."""
    classes: dict[ast.AST, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ClassDef):
                self.classes |= dict.fromkeys(ast.walk(node), node.name)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    self._set(ast.unparse(target), node.value)
            elif isinstance(node, ast.AnnAssign) and node.value:
                self._set(ast.unparse(node.target), node.value)
            elif isinstance(node, ast.FunctionDef):
                for given in ast.walk(node):
                    if isinstance(given, ast.Return) and given.value:
                        self._set(node.name, given.value)

    def _set(self, name: str, value: ast.expr) -> None:
        self.assigned.setdefault(name.rpartition(".")[2], []).append(value)

    def sent(self) -> Iterator[Sent]:
        for call in ast.walk(self.tree):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in METHODS):
                continue
            if not re.search(r"stats", ast.unparse(call.func.value), re.IGNORECASE):
                continue
            tags = sorted({key for word in call.keywords if word.arg in _TAGS for key in self._keys(word.value)})
            for name in self._names_of(call):
                if name.startswith("{"):
                    raise ValueError(f"{self.path}:{call.lineno}: nothing says what {name} begins with")
                yield Sent(call.func.attr, name, tuple(tags))

    def _names_of(self, call: ast.Call) -> list[str]:
        if call.args:
            return sorted(set(self._text(call.args[0])))
        for word in call.keywords:
            if word.arg == "stat":
                return self._text(word.value)
            if word.arg is None and isinstance(word.value, ast.Call):
                return list(BUILT_ELSEWHERE[ast.unparse(word.value.func).rpartition(".")[2]])
        return []  # a timer that sends nothing

    def _text(self, node: ast.expr) -> list[str]:
        """Returns all texts that an expression can have."""
        if isinstance(node, ast.Constant):
            return [str(node.value)]
        if isinstance(node, ast.IfExp):
            return self._text(node.body) + self._text(node.orelse)
        if isinstance(node, ast.BinOp):
            return [left + right for left in self._text(node.left) for right in self._text(node.right)]
        if isinstance(node, ast.JoinedStr):
            texts = [""]
            for part in node.values:
                inner = self._inside(part.value) if isinstance(part, ast.FormattedValue) else self._text(part)
                texts = [text + end for text in texts for end in inner]
            return texts
        if isinstance(node, ast.Name) and node.id in self.assigned:
            return [text for value in self.assigned[node.id] for text in self._text(value)]
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("_get_metric_name"):
            return [text + end for text in self._text(node.args[0]) for end in ("", ".{executor_class_name}")]
        return self._placeholder(node)

    def _inside(self, node: ast.expr) -> list[str]:
        """Returns the texts of a part in braces: those of a variable, if it is set to nothing else."""
        values = self.assigned.get(ast.unparse(node), [])
        texts = [str(value.value) for value in values if isinstance(value, ast.Constant)]
        return texts if texts and len(texts) == len(values) else self._placeholder(node)

    def _placeholder(self, node: ast.expr) -> list[str]:
        """Marks what is known only at run time."""
        text = ast.unparse(node)
        if "self.__class__.__name__" in text:
            name = self.classes[node]
            return [name if text == "self.__class__.__name__" else name.lower()]
        if isinstance(node, ast.Call):
            raise ValueError(f"{self.path}:{node.lineno}: {text} is part of a metric's name")
        name = text.rpartition(".")[2].strip("_")
        return list(GIVEN.get(name, [f"{{{name}}}"]))

    def _keys(self, node: ast.expr, depth: int = 2) -> Iterator[str]:
        """Yields the names of the tags in an expression, and in what it refers to."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Dict):
                yield from (str(key.value) for key in inner.keys if isinstance(key, ast.Constant))
            elif isinstance(inner, ast.Name | ast.Attribute) and depth:
                name = inner.id if isinstance(inner, ast.Name) else inner.attr
                if name.endswith("tags"):
                    for value in self.assigned.get(name, []):
                        yield from self._keys(value, depth - 1)
