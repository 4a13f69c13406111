"""The rooms and the direction of imports between them, read from the source with ast."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("catalog", "tools", "agent", "training", "evals", "page")
TOP_LEVEL = {*ROOMS, "models", "app"}
# Of the agent, training sees types, prompts and models, and the pure functions that turn
# evidence into a reply's brief and check it: training rows are made by the code that serves.
TRAINING_SEES = {
    f"agent.{module}"
    for module in ("state", "prompts", "llm", "briefs", "evidence", "talker", "verify")
}
# room -> what it may import of ours; a dotted entry admits that module only.
MAY_IMPORT: dict[str, set[str]] = {
    "catalog": set(),
    "tools": {"catalog"},
    "agent": {"tools", "catalog"},
    "training": {"tools", "catalog", *TRAINING_SEES},
    "evals": {"agent", "tools", "catalog"},
    "page": {"agent", "tools", "catalog"},
    "app": {"page", "agent", "tools", "catalog"},
}


def sources(room: str) -> list[Path]:
    return [ROOT / "app.py"] if room == "app" else sorted((ROOT / room).rglob("*.py"))


def imported_modules(source: Path) -> set[str]:
    """Absolute dotted names that a file imports, anywhere in it, ``from a import b`` as a.b too."""
    package = source.relative_to(ROOT).with_suffix("").parts[:-1]
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def admits(allowed: set[str], name: str) -> bool:
    return any(name == entry or name.startswith(entry + ".") for entry in allowed)


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_imports_point_one_way(room: str) -> None:
    allowed = MAY_IMPORT[room] | ({room} if room != "app" else set())
    broken = [
        f"{source.relative_to(ROOT)} imports {name}"
        for source in sources(room)
        for name in sorted(imported_modules(source))
        if name.split(".")[0] in TOP_LEVEL and not admits(allowed, name)
    ]
    assert not broken, "\n".join(broken)


def test_the_rule_catches_a_forbidden_import(tmp_path: Path) -> None:
    source = ROOT / "tests" / "test_layout.py"
    assert {"ast", "importlib.metadata", "pathlib.Path"} <= imported_modules(source)
    assert not admits(MAY_IMPORT["tools"], "agent.state.Turn")
    assert not admits(MAY_IMPORT["training"], "agent.graph")
    assert not admits(MAY_IMPORT["training"], "agent.statement")
    assert admits(MAY_IMPORT["training"], "agent.state.Turn")


@pytest.mark.parametrize("room", ROOMS)
def test_every_folder_with_code_is_a_package(room: str) -> None:
    folders = {source.parent for source in sources(room)}
    bare = [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()]
    assert (ROOT / room / "__init__.py").exists()
    assert not bare


def test_no_installed_distribution_claims_our_names() -> None:
    """A wheel shipping a top-level ``tools/`` would shadow or overwrite ours without a word."""
    claimed = [
        f"{distribution.metadata['Name']} ships {name}"
        for distribution in importlib.metadata.distributions()
        for name in sorted({file.parts[0].removesuffix(".py") for file in distribution.files or ()})
        if name in TOP_LEVEL
    ]
    assert not claimed, "\n".join(claimed)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_from_the_repository(room: str) -> None:
    module = __import__(room)
    assert Path(str(module.__file__)).resolve() == ROOT / room / "__init__.py"


def test_every_requirement_has_its_exact_version() -> None:
    """What requirements/*.txt ask for is pinned, and this environment holds those versions."""
    normal = lambda name: re.sub(r"[-_.]+", "-", name).lower()  # noqa: E731
    pins = {
        normal(name): version
        for name, _, version in (
            line.strip().partition("==")
            for line in (ROOT / "constraints.txt").read_text().splitlines()
            if "==" in line and not line.startswith("#")
        )
    }
    for group in ("runtime", "test", "train"):
        lines = (ROOT / "requirements" / f"{group}.txt").read_text().splitlines()
        wanted = [normal(line) for line in lines if line and not line.startswith("#")]
        assert set(wanted) <= set(pins), f"not pinned: {sorted(set(wanted) - set(pins))}"
    if not (ROOT / ".venv" / ".parley-test").exists() or Path(sys.prefix) != ROOT / ".venv":
        return  # another environment than make's: its versions are its owner's affair
    frozen = subprocess.run(
        [sys.executable, "-m", "pip", "freeze"], capture_output=True, text=True, check=True
    ).stdout
    wrong = [
        line
        for line in frozen.splitlines()
        if "==" in line
        and pins.get(normal(line.split("==")[0])) not in (line.split("==")[1].split("+")[0], None)
    ]
    assert not wrong, f"versions other than constraints.txt: {wrong}"
