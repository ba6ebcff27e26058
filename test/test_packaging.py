"""What pip, colcon and the changelog say of the package must agree."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import storm_ros

PROJECT = Path(__file__).resolve().parents[1]
PYPROJECT = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
MANIFEST = ElementTree.parse(PROJECT / "package.xml").getroot()


def manifest(tag: str) -> str:
    element = MANIFEST.find(tag)
    assert element is not None, tag
    return (element.text or "").strip()


def project_field(name: str) -> str:
    found = re.search(rf'^{name} = "(.*)"$', PYPROJECT, re.MULTILINE)
    assert found, name
    return found.group(1)


def test_names_and_versions_agree() -> None:
    assert manifest("name") == project_field("name") == storm_ros.__name__
    assert manifest("version") == project_field("version") == storm_ros.__version__
    assert manifest("description") == project_field("description")


def test_manifest_is_one_that_colcon_builds_with_cmake() -> None:
    """A bad maintainer address or build type makes colcon take the package for a plain Python one, silently."""
    assert MANIFEST.get("format") == "3"
    assert manifest("export/build_type") == "ament_cmake"
    maintainer = MANIFEST.find("maintainer")
    assert maintainer is not None
    assert re.fullmatch(r"[-\w.%+]+@[-\w%]+(\.[-\w%]+)*\.[a-zA-Z]{2,}", maintainer.get("email", ""))
    assert f"project({manifest('name')}" in (PROJECT / "CMakeLists.txt").read_text(encoding="utf-8")


def test_licence_is_apache_everywhere() -> None:
    assert manifest("license") == "Apache-2.0"
    assert 'license = { text = "Apache-2.0" }' in PYPROJECT
    text = (PROJECT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_changelog_has_the_version_or_what_comes_next() -> None:
    text = (PROJECT / "CHANGELOG.rst").read_text(encoding="utf-8")
    title = f"Changelog for package {manifest('name')}"
    assert title in text
    sections = re.findall(r"^(Forthcoming|\d+\.\d+\.\d+ \(\d{4}-\d{2}-\d{2}\))\n-+$", text, re.MULTILINE)
    assert sections
    released = [section.split()[0] for section in sections if section != "Forthcoming"]
    assert sections[0] == "Forthcoming" or released[0] == manifest("version")


def test_scripts_can_be_run() -> None:
    for path in (PROJECT / "scripts" / "storm", PROJECT / ".ci" / "run"):
        assert os.access(path, os.X_OK), path
        assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env ")
