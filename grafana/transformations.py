"""Grafana's transformations, which turn the results of a panel's queries into what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.models.dashboard import DataTransformerConfig

Style = Mapping[str, Any]
"""Grafana's property → value, for one column or series."""


@dataclass(frozen=True)
class Column:
    """A column of a table that joins several queries."""

    name: str
    """In Grafana's data: a label, or ``Value #A``."""
    title: str
    style: Style | None = None


def matrix(row: str, column: str, value: str = "Value") -> DataTransformerConfig:
    """Rows × columns of one query's values, or of a label. Its first field, ``row\\column``, holds text."""
    options = {"rowField": row, "columnField": column, "valueField": value, "emptyValue": "null"}
    return DataTransformerConfig(id_val="groupingToMatrix", options=options)


def convert(name: str, kind: str) -> DataTransformerConfig:
    """Turns a field into numbers, or numbers into times."""
    options = {"conversions": [{"targetField": name, "destinationType": kind}], "fields": {}}
    return DataTransformerConfig(id_val="convertFieldType", options=options)


def sort(name: str, *, falling: bool = False) -> DataTransformerConfig:
    """Orders the rows."""
    return DataTransformerConfig(id_val="sortBy", options={"fields": {}, "sort": [{"field": name, "desc": falling}]})


def arranged(names: Sequence[str]) -> DataTransformerConfig:
    """Puts fields in this order."""
    return _organize({"indexByName": {name: number for number, name in enumerate(names)}, "renameByName": {}})


def rename(name: str, title: str, *, without: str = "") -> DataTransformerConfig:
    """Gives a field another name, and leaves out a field."""
    left_out = {"excludeByName": {without: True}} if without else {}
    return _organize({"indexByName": {}, "renameByName": {name: title}, **left_out})


def settings(ref: str) -> DataTransformerConfig:
    """Takes settings from a query, whose series have their names, such as `min`; an empty one sets nothing."""
    return DataTransformerConfig(id_val="configFromData", options={"configRefId": ref, "mappings": []})


def _organize(options: Mapping[str, Any]) -> DataTransformerConfig:
    return DataTransformerConfig(id_val="organize", options=dict(options))


def filled() -> DataTransformerConfig:
    """Leaves out frames without fields, which an empty result has: a timeline would complain that they have no time."""
    return DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"pattern": ".+"}})


def join(key: str, columns: Sequence[Column]) -> list[DataTransformerConfig]:
    """One row a value of `key`, with the values of each query; all fields except the columns are left out."""
    outer = DataTransformerConfig(id_val="joinByField", options={"byField": key, "mode": "outer"})
    return [outer, *_organized(columns)]


def _organized(columns: Sequence[Column]) -> list[DataTransformerConfig]:
    names = [column.name for column in columns]
    keep = DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": names}})
    return [keep, organize(columns)]


def organize(columns: Sequence[Column]) -> DataTransformerConfig:
    """Puts these columns first, in their order and with their titles; leaves out time and value unless listed."""
    options = {
        "indexByName": {column.name: number for number, column in enumerate(columns)},
        "renameByName": {column.name: column.title for column in columns},
        "excludeByName": {name: True for name in ("Time", "Value") if name not in {column.name for column in columns}},
        "includeByName": {},
    }
    return _organize(options)
