"""The npm lock installs anywhere: on every platform, from whichever registry the machine is set up for."""

import json
from pathlib import Path
from typing import Any

import pytest

ASSETS = Path(__file__).parents[3] / "src" / "mailengine" / "web" / "assets"
LOCK = ASSETS / "package-lock.json"


@pytest.fixture(scope="module")
def packages() -> dict[str, dict[str, Any]]:
    locked: dict[str, dict[str, Any]] = json.loads(LOCK.read_text())["packages"]
    return locked


def test_lock_names_no_registry() -> None:
    assert "http" not in LOCK.read_text(), "write it with `npm run lock`, which leaves addresses out"


def test_every_package_is_checked_by_its_hash(packages: dict[str, dict[str, Any]]) -> None:
    unchecked = [
        path
        for path, entry in packages.items()
        if path and "integrity" not in entry and not entry.get("inBundle")
    ]
    assert unchecked == []


def test_lock_holds_the_packages_of_every_platform(packages: dict[str, dict[str, Any]]) -> None:
    missing = [
        f"{path} wants {name}"
        for path, entry in packages.items()
        for name in entry.get("optionalDependencies", {})
        if f"node_modules/{name}" not in packages and f"{path}/node_modules/{name}" not in packages
    ]
    assert missing == []


def test_lock_fits_the_manifest(packages: dict[str, dict[str, Any]]) -> None:
    manifest = json.loads((ASSETS / "package.json").read_text())
    for kind in ("dependencies", "devDependencies"):
        assert packages[""][kind] == manifest[kind]


def test_versions_are_exact() -> None:
    manifest = json.loads((ASSETS / "package.json").read_text())
    versions = [*manifest["dependencies"].values(), *manifest["devDependencies"].values()]
    assert [version for version in versions if not version[0].isdigit()] == []
