"""The schemas that manifests are checked against: downloaded once, and only the pinned ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stack import bootstrap
from tests.catwalk.bundle import schemas


def test_schemas_are_stored_once_and_only_the_pinned_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler, cache = tmp_path / "go", tmp_path / "cache"
    cache.mkdir()
    (cache / "spec.json").write_text("{}")
    text = json.dumps([{"module": "a@v1", "sum": "h1:right", "files": ["spec.json"]}])
    monkeypatch.setattr(bootstrap, "TOOLS", tmp_path)
    monkeypatch.setattr(schemas, "find_go", lambda: str(compiler))

    def answers(said: str) -> None:
        compiler.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
        compiler.chmod(0o755)

    for said, complaint in (
        ('{"Error": "no such\\nmodule"}', "downloading a@v1 failed: no such module$"),
        (json.dumps({"Dir": str(cache), "Sum": "h1:wrong"}), "has the sum h1:wrong, not h1:right"),
    ):
        answers(said)
        with pytest.raises(bootstrap.SetupError, match=complaint):
            schemas.laid(tmp_path / "schemas", text)
        assert not (tmp_path / "schemas" / "spec.json").exists()
    answers(json.dumps({"Dir": str(cache), "Sum": "h1:right"}))
    schemas.laid(tmp_path / "schemas", text)
    compiler.unlink()
    schemas.laid(tmp_path / "schemas", text)  # stored: this doesn't run the compiler again
    assert (tmp_path / "schemas" / "spec.json").read_text() == "{}"
