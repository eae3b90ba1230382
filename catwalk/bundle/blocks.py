"""Readable YAML: texts of several lines as blocks, and no references."""

from __future__ import annotations

import yaml


class _Blocks(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Blocks.add_representer(str, _block)


def dump(value: object) -> str:
    """Returns one document, in the order of its keys."""
    return yaml.dump(value, Dumper=_Blocks, sort_keys=False, width=120, allow_unicode=True)
