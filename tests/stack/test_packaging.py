"""The distribution in pyproject.toml matches the tree, the lock, and what programs say about missing packages."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement

from catwalk.extras import DISTRIBUTION, EXTRAS, complaint
from stack.settings import PROJECT

DESCRIBED = tomllib.loads((PROJECT / "pyproject.toml").read_text())
METADATA = DESCRIBED["project"]
RANGES = [*METADATA["dependencies"], *(one for extra in METADATA["optional-dependencies"].values() for one in extra)]


def test_every_package_of_the_tree_is_in_the_wheel_and_no_other() -> None:
    on_disk = {
        ".".join(path.parent.relative_to(root).parts)
        for root in (PROJECT, PROJECT / "monitoring")
        for name in ("catwalk", "catwalk_exporter", "catwalk_courier")
        for path in (root / name).rglob("__init__.py")
    }
    data = set(DESCRIBED["tool"]["setuptools"]["package-data"]) - {"catwalk.telemetry"}
    assert set(DESCRIBED["tool"]["setuptools"]["packages"]) == on_disk | data


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("docker-compose.yaml", r"CATWALK_VERSION:-([^}]+)"),
        (".env.example", r"CATWALK_VERSION=(\S+)"),
        ("docs/kubernetes.md", r"/catwalk:(\S+)"),
    ],
)
def test_the_image_has_the_version_of_the_distribution(file: str, place: str) -> None:
    assert re.findall(place, (PROJECT / file).read_text()) == [METADATA["version"]]


@pytest.mark.parametrize("text", RANGES)
def test_the_lock_is_within_every_range(text: str) -> None:
    wanted = Requirement(text)
    pinned = re.findall(rf"^{wanted.name}==([^ ;]+)", (PROJECT / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned and all(wanted.specifier.contains(version) for version in pinned)
    assert not any(one.operator in ("==", "===") for one in wanted.specifier), "a library pins no one's packages"


def test_each_extra_installs_the_modules_that_it_is_named_for() -> None:
    distributions = packages_distributions()
    extras = METADATA["optional-dependencies"]
    assert METADATA["name"] == DISTRIBUTION
    assert extras.keys() == EXTRAS.keys()
    for extra, modules in EXTRAS.items():
        named = {Requirement(text).name for text in extras[extra]}
        for module in modules:
            bringing = [re.sub(r"[-_.]+", "-", name).lower() for name in distributions[module]]
            assert any(name.startswith(tuple(named)) for name in bringing), (
                "apache-airflow's own modules are in several distributions"
            )
        assert len(modules) == len(named)


def test_a_missing_module_is_named_with_the_extra_that_installs_it() -> None:
    missing = ModuleNotFoundError("No module named 'prometheus_client.core'", name="prometheus_client.core")
    for extra in ("cli", "exporter", "courier"):
        line = f"prometheus_client is not installed; run pip install 'catwalk-mlops[{extra}]'"
        assert complaint(missing, extra) == line
    assert "catwalk-mlops[report]" in complaint(ModuleNotFoundError("", name="matplotlib"), "cli")
    other = ModuleNotFoundError("No module named 'theirs'", name="theirs")
    assert complaint(other, "cli") == "No module named 'theirs'"
