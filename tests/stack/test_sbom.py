"""What `make sbom` lists."""

from __future__ import annotations

import re

import pytest

from stack import sbom
from stack.settings import PROJECT, StackError


def test_markers_are_evaluated_for_the_image() -> None:
    text = """# comment
one==1.0
    # via two
old==1.0 ; python_full_version < '3.12'
new==2.0 ; python_full_version >= '3.12'
win==1.0 ; sys_platform == 'win32'
cuda-toolkit==13.0 ; sys_platform == 'linux'
nvidia-nccl-cu13==2.0 ; sys_platform == 'linux'
"""
    assert sbom.requirements(text, "3.13.1") == ["one==1.0", "new==2.0"]


def test_the_list_has_packages_images_and_servers_and_is_the_same_each_time() -> None:
    document = sbom.bill()  # raises if it does not match the schema
    assert sbom.bill() == document
    assert not document.keys() & {"serialNumber"}
    assert "timestamp" not in document["metadata"]
    purls = {component["purl"] for component in document["components"]}
    versions = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (PROJECT / "requirements.txt").read_text(), re.MULTILINE))
    for name in ("torch", "apache-airflow", "safetensors", "celery"):
        assert f"pkg:pypi/{name}@{versions[name]}" in purls
    assert not [purl for purl in purls if "nvidia" in purl or "pytest" in purl]
    images = {f"{name if '/' in name else f'library/{name}'}" for name in sbom.images().values()}
    assert {f"pkg:docker/{image.replace(':', '@')}" for image in images} <= purls
    assert f"pkg:docker/library/{sbom.python_image().replace(':', '@')}" in purls
    assert any(purl.startswith("pkg:golang/github.com/versity/versitygw@") for purl in purls)
    assert not re.search(r"/(home|root|work|tmp)/", str(document))
    licensed = [component for component in document["components"] if component.get("licenses")]
    assert len(licensed) > 0.9 * sum(component["type"] == "library" for component in document["components"])


@pytest.mark.parametrize(("url", "fits"), [("https://example.com/a?b#c", True), ("no address", False)])
def test_an_invalid_address_does_not_match_the_schema(url: str, fits: bool) -> None:
    component = {"type": "library", "name": "one", "externalReferences": [{"type": "website", "url": url}]}
    document = {"bomFormat": "CycloneDX", "specVersion": sbom.SCHEMA.to_version(), "components": [component]}
    if fits:
        sbom.check(document)
    else:
        with pytest.raises(StackError, match="does not match CycloneDX"):
            sbom.check(document)
