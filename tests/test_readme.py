"""The documentation is true: its commands parse, its code runs, what it quotes and links is there.

Conventions of the pages:

- A command line with `cli.py` in a ```bash block is parsed, in the order of its page; a run's id has to be made on the
  page by a `fit --run.id` before it is used.
- A ```python block under a line that ends in a colon and links a source file is a quotation from that file.
- A block under a line that is only a file name in backticks and a colon is that file of the recipe in CONTRIBUTING.md.
- Every other ```python block is run, all those of a page in one namespace; every other ```yaml block is an overlay.
"""

import os
import re
import shlex
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

import cli
import lit_models

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
BLOCK = re.compile(r"(?:^(?P<lead>[^\n]*:)\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
SOURCE_LINK = re.compile(r"\[[^\]]*\]\((?P<path>[^)]*\.py)\)")
FILE_NAME = re.compile(r"`(?P<path>\w+/[\w./]+)`:")
LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
CONFIG = re.compile(r"\bconfigs/\w+/\w+\.yaml\b")
RECIPE = "l1_autoencoder"


class Block(NamedTuple):
    """A fenced block and what it is."""

    kind: str  # "source", "file" or "free"
    path: str
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    found = []
    for match in BLOCK.finditer(page.read_text()):
        lead = match["lead"] or ""
        if name := FILE_NAME.fullmatch(lead):
            kind, path = "file", name["path"]
        elif (link := SOURCE_LINK.search(lead)) and match["language"] == "python":
            kind, path = "source", str((page.parent / link["path"]).resolve().relative_to(ROOT))
        else:
            kind, path = "free", ""
        found.append(Block(kind, path, match["language"], match["text"]))
    return found


def prose(page: Path) -> str:
    return BLOCK.sub("", page.read_text())


def commands(page: Path) -> list[list[str]]:
    """Words after `cli.py` in each command line of a page."""
    found = []
    for block in blocks(page):
        if block.language == "bash":
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if "cli.py" in words:
                    found.append(words[words.index("cli.py") + 1 :])
    return found


def with_any(kind: str, language: str) -> list[Path]:
    return [page for page in PAGES if any((block.kind, block.language) == (kind, language) for block in blocks(page))]


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to type the commands in, which already holds the README's run named first."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "configs").symlink_to(ROOT / "configs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("WANDB_MODE", "disabled")
        cli.main(["fit", "--config=configs/vae/digits.yaml", "--config=configs/overlay/debug.yaml", "--run.id=first"])
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=page_name)
def test_commands_parse(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    for words in commands(page):
        asks = any(word.endswith("help") for word in words)
        with pytest.raises(SystemExit) as stop:
            cli.main(words if asks else [*words, "--print_config"])
        out, err = capsys.readouterr()
        assert stop.value.code == 0, f"{' '.join(words)}: {err}"
        if asks:
            continue
        config = yaml.safe_load(out)
        if words[0] == "fit" and (run_id := config["run"]["id"]):
            run = tmp_path / "runs" / "printed" / run_id
            run.mkdir(parents=True, exist_ok=True)
            (run / "config.yaml").write_text(out)


@pytest.mark.parametrize("page", with_any("free", "python"), ids=page_name)
def test_python_runs(page: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    namespace: dict[str, object] = {"__name__": page.stem}
    for block in blocks(page):
        if block.kind == "free" and block.language == "python":
            exec(compile(block.text, page_name(page), "exec"), namespace)


@pytest.mark.parametrize("page", with_any("free", "yaml"), ids=page_name)
def test_overlays_parse(page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, block in enumerate(blocks(page)):
        if block.kind == "free" and block.language == "yaml":
            overlay = tmp_path / f"{number}.yaml"
            overlay.write_text(block.text)
            with pytest.raises(SystemExit, match="0"):
                cli.main(["fit", "--config=configs/vae/digits.yaml", f"--config={overlay}", "--print_config"])
            printed = capsys.readouterr().out
            assert "Unable" not in printed


@pytest.mark.parametrize("page", with_any("source", "python"), ids=page_name)
def test_quoted_lines_are_in_the_source(page: Path) -> None:
    for block in blocks(page):
        if block.kind == "source":
            quoted = textwrap.dedent(block.text).splitlines()
            source = (ROOT / block.path).read_text().splitlines()
            windows = (source[start : start + len(quoted)] for start in range(len(source) - len(quoted) + 1))
            assert any(textwrap.dedent("\n".join(window)).splitlines() == quoted for window in windows), (
                f"{block.path} has no longer these lines:\n{block.text}"
            )


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_and_pictures_exist(page: Path) -> None:
    for link in LINK.finditer(prose(page)):
        target, _, anchor = link["target"].partition("#")
        if "://" in target:
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.is_relative_to(ROOT), link["target"]
        assert path.exists(), link["target"]
        assert not anchor or anchor in set(anchors(path)), link["target"]
        if link["picture"]:
            assert link["text"], f"{target} has no words for those who cannot see it"
            assert path.stat().st_size < 150_000, target


def anchors(page: Path) -> Iterator[str]:
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_named_configurations_targets_and_benchmarks_exist(page: Path) -> None:
    text = page.read_text()
    for config in CONFIG.findall(text):
        assert (ROOT / config).exists() or RECIPE in config, config
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    for target in re.findall(r"`make (\w+)", text) + re.findall(r"^make (\w+)", text, re.M):
        assert target in targets, target
    for module in re.findall(r"python -m (benchmarks[\w.]*)", text):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists(), module


def test_every_picture_is_shown_somewhere() -> None:
    links = [(page, link) for page in PAGES for link in LINK.finditer(prose(page)) if link["picture"]]
    assert set((ROOT / "docs/media").iterdir()) == {(page.parent / link["target"]).resolve() for page, link in links}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_block_is_seen_and_has_a_language(page: Path) -> None:
    fences = re.findall(r"^```", page.read_text(), re.M)
    assert len(fences) == 2 * len(blocks(page))


def test_the_recipe_for_a_technique_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {block.path: block.text for block in blocks(ROOT / "CONTRIBUTING.md") if block.kind == "file"}
    module, config, test = (
        f"lit_models/{RECIPE}.py",
        f"configs/{RECIPE}/digits.yaml",
        f"tests/lit_models/test_{RECIPE}.py",
    )
    assert {module, config, test} <= files.keys()
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(lit_models, "__path__", [*lit_models.__path__, os.fspath(tmp_path / "lit_models")])

    namespace: dict[str, object] = {"__name__": "recipe"}
    exec(compile(files[test], test, "exec"), namespace)
    cases = [case for name, case in namespace.items() if name.startswith("test_") and callable(case)]
    assert cases
    for case in cases:
        case()

    words = [f"--run.dir={tmp_path}", "--run.id=recipe"]
    debug = ["--config=configs/overlay/debug.yaml"]
    cli.main(["fit", f"--config={tmp_path / config}", *debug, *words])
    cli.main(["test", *words])
    assert "test/l1" in capsys.readouterr().out
    sys.modules.pop(f"lit_models.{RECIPE}")
