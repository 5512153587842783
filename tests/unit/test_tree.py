"""The tree itself: names, lengths, docstrings, layers that import-linter cannot see."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tfspark_cnn"
MODULES = sorted(PACKAGE.rglob("*.py"))

VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
LONGEST = 40
PURE = (
    *(f"feed/{name}.py" for name in ("columns", "schema", "batching", "dealing", "ledger", "epochs", "rows", "values")),
    *(f"cluster/{name}.py" for name in ("topology", "messages", "state", "policy", "tf_config")),
    *(f"checkpoints/{name}.py" for name in ("archive", "identity", "retention")),
    *(f"cluster/{name}.py" for name in ("lockstep", "variable_order", "step_report", "runs", "run_arguments")),
    "cluster/verdict.py",
    "feed/step_clock.py",
    "pictures/timeline.py",
    *(f"events/{name}.py" for name in ("curves", "sampling", "schema")),
    *(f"display/{name}.py" for name in ("view", "words")),
    *(f"data/{name}.py" for name in ("shares", "safe_pickle", "cifar_batches", "record_file")),
    *(f"data/{name}.py" for name in ("example", "example_columns")),
    *(f"tensorflowonspark/{name}.py" for name in ("namespace", "signatures", "input_columns", "output_columns")),
)
IMPURE = {"socket", "threading", "multiprocessing", "subprocess", "pyspark", "pyarrow.flight"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[Function]:
    return (one for one in ast.walk(tree_of(path)) if isinstance(one, Function))


def length(function: Function) -> int:
    """Lines of the body; a docstring is no code, and a signature of one line a parameter is good style."""
    has_docstring = ast.get_docstring(function) is not None
    body = function.body[1:] if has_docstring else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def public(body: list[ast.stmt], place: str) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    for one in body:
        if isinstance(one, Function | ast.ClassDef) and not one.name.startswith("_"):
            yield f"{place}.{one.name}", one
            if isinstance(one, ast.ClassDef):
                yield from public(one.body, f"{place}.{one.name}")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for one in ast.walk(tree_of(path)):
        if isinstance(one, ast.Import):
            names |= {alias.name for alias in one.names}
        elif isinstance(one, ast.ImportFrom) and one.module:
            names |= {one.module, *(f"{one.module}.{alias.name}" for alias in one.names)}
    return {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 2)}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_a_noun_of_the_domain(path: Path) -> None:
    assert VAGUE.isdisjoint({path.stem, *path.stem.split("_"), *path.relative_to(ROOT).parts[:-1]})


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_function_is_under_forty_lines(path: Path) -> None:
    assert [f"{one.name}: {length(one)} lines" for one in functions(path) if length(one) >= LONGEST] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_public_name_has_a_docstring(path: Path) -> None:
    tree = tree_of(path)
    bare = [
        place for place, one in public(tree.body, path.stem) if ast.get_docstring(one) is None and not _inherits(one)
    ]
    assert bare == []
    assert ast.get_docstring(tree) or not tree.body, f"{name_of(path)} has no docstring"


def _inherits(one: Function | ast.ClassDef) -> bool:
    """Overloads share the docstring of what they describe, setters that of their property."""
    return any("overload" in ast.unparse(by) or ".setter" in ast.unparse(by) for by in one.decorator_list)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_env_reads_the_environment(path: Path) -> None:
    reads = [one for one in ast.walk(tree_of(path)) if isinstance(one, ast.Attribute) and one.attr in READERS]
    assert path.name == "env.py" or [ast.unparse(one) for one in reads if ast.unparse(one.value) == "os"] == []


READERS = {"environ", "getenv", "environb", "putenv"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_command_line_prints_or_exits(path: Path) -> None:
    # What stands under `if __name__ == "__main__"` is a program of its own, as a node's process is.
    module = [
        one for one in tree_of(path).body if not (isinstance(one, ast.If) and "__main__" in ast.unparse(one.test))
    ]
    calls = {ast.unparse(call.func) for one in module for call in ast.walk(one) if isinstance(call, ast.Call)}
    in_cli = path.parent.name == "cli"
    assert calls.isdisjoint(set() if in_cli else {"print"})
    assert calls.isdisjoint(set() if name_of(path) == "tfspark_cnn/cli/main.py" else {"sys.exit"})


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_neither_talk_wait_nor_start_anything(module: str) -> None:
    assert imported(PACKAGE / module) & IMPURE == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_todo_names_an_issue(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "TODO" in line and "#" not in line.partition("TODO")[2]] == []


def test_the_public_names_are_these_and_all_exist() -> None:
    package = importlib.import_module("tfspark_cnn")
    assert {"TFCluster", "InputMode", "__version__"} <= set(package.__all__)
    assert [name for name in package.__all__ if not hasattr(package, name)] == []
    assert len(package.__all__) == len(set(package.__all__))
