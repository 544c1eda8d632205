"""The shape of the code itself: which package may import which, and how long a file may be."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "objectives": {"objectives"},
    "networks": {"networks", "objectives"},
    "metrics": {"metrics", "networks", "objectives"},
    "lit_models": {"lit_models", "networks", "objectives", "metrics"},
    "datamodules": {"datamodules", "networks", "objectives", "metrics"},
    "callbacks": {"callbacks", "networks", "objectives", "metrics"},
}
PACKAGES = {*ALLOWED, "cli", "benchmarks"}
SOURCES = sorted(path for package in ALLOWED for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names & PACKAGES


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    assert imported(path) <= ALLOWED[package]


def test_networks_and_objectives_do_not_know_lightning() -> None:
    for package in ("networks", "objectives"):
        for path in (ROOT / package).rglob("*.py"):
            assert "lightning" not in path.read_text(), path


def test_the_rule_would_catch_a_wrong_import(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def f():\n    from datamodules.digits import Digits\n")
    assert not imported(wrong) <= ALLOWED["lit_models"]


@pytest.mark.parametrize("path", [*SOURCES, ROOT / "cli.py"], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_exceeds_300_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
