"""Blocks of code in the documentation: each compiles, and what it takes from this package is there."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import shlex
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import docs_blocks
import docs_cli
import docs_errors
import pytest
import yaml
from docs_blocks import ROOT, Block

from tfspark_cnn import config, errors
from tfspark_cnn.cluster.context import NodeContext
from tfspark_cnn.cluster.tf_cluster import TFCluster

BLOCKS = [block for page in docs_blocks.PAGES for block in docs_blocks.blocks(page)]
LANGUAGES = {"bash", "console", "properties", "python", "text", "toml", "yaml"}
OURS = {"ctx": NodeContext, "cluster": TFCluster}
"""What documentation calls by these names."""

TENSORFLOWONSPARKS = ("migration-tensorflowonspark.md", "migration-dfutil-pipeline.md", "07-migrating.md")
"""Pages that also speak of what clusters and contexts of TensorFlowOnSpark have."""


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def by_place(block: Block) -> str:
    return block.place


def test_every_block_has_a_language_and_a_reason_where_it_cannot_run() -> None:
    assert [block.place for block in BLOCKS if block.language not in LANGUAGES] == []
    assert [block.place for block in BLOCKS if block.not_run is not None and len(block.not_run) < 10] == []
    fences = sum(len(re.findall("^```", page.read_text("utf-8"), re.MULTILINE)) for page in docs_blocks.PAGES)
    assert fences == 2 * len(BLOCKS), "a fence that is not one of a block"


@pytest.mark.parametrize("block", of("python"), ids=by_place)
def test_python_compiles_and_takes_what_is_there(block: Block) -> None:
    tree = ast.parse(block.code)
    page = Path(block.place.partition(":")[0]).name
    members = [] if page in TENSORFLOWONSPARKS else _missing_members(tree)
    assert [*_missing_imports(tree), *members, *_unknown_arguments(tree)] == []


def _missing_imports(tree: ast.Module) -> Iterator[str]:
    for one in ast.walk(tree):
        if isinstance(one, ast.ImportFrom) and (one.module or "").startswith("tfspark_cnn"):
            module = importlib.import_module(str(one.module))
            names = {f"{one.module}.{alias.name}" for alias in one.names if not hasattr(module, alias.name)}
            yield from (name for name in names if not importlib.util.find_spec(name))  # else it is a module


def _missing_members(tree: ast.Module) -> Iterator[str]:
    for one in ast.walk(tree):
        match one:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in OURS:
                if not has(OURS[name], attribute):
                    yield f"{name}.{attribute}"


def _unknown_arguments(tree: ast.Module) -> Iterator[str]:
    from tfspark_cnn import ml

    for call in (one for one in ast.walk(tree) if isinstance(one, ast.Call)):
        name, given = ast.unparse(call.func), [keyword.arg for keyword in call.keywords if keyword.arg]
        if name == "TFCluster.run":
            yield from (arg for arg in given if arg not in inspect.signature(TFCluster.run).parameters)
        elif name in ml.__all__:
            yield from (arg for arg in given if not hasattr(getattr(ml, name), arg))


def has(kind: type, name: str) -> bool:
    """Whether objects of a class have an attribute, also one that only its constructor makes."""
    return hasattr(kind, name) or re.search(rf"self\.{name}\b", inspect.getsource(kind)) is not None


@pytest.mark.parametrize("page", docs_blocks.PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_texts_say_of_clusters_and_contexts_is_there(page: Path) -> None:
    if page.name in TENSORFLOWONSPARKS:
        return
    text = page.read_text(encoding="utf-8")
    said = re.findall(r"`(ctx|cluster)\.(\w+)[^`]*`", text)
    keys = {setting.name for setting in config.ClusterConfig.__dataclass_fields__.values()}
    assert [
        f"{who}.{name}" for who, name in said if not (has(OURS[who], name) or (who == "cluster" and name in keys))
    ] == []


def lines() -> list[tuple[Block, str]]:
    """All commands, one by one."""
    joined = [(block, block.code.replace("\\\n", " ")) for block in of("bash")]
    return [(block, line) for block, code in joined for line in code.splitlines() if line.strip()]


def test_verbs_and_options_of_the_command_line_exist() -> None:
    verbs = docs_cli.verbs()
    wrong = []
    for block, line in lines():
        words = shlex.split(line)
        if not words[0].endswith("tfspark-cnn"):
            continue
        verb, given = words[1], {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
        if verb not in verbs:
            wrong.append((block.place, verb))
        else:
            wrong += [(block.place, name) for name in given - docs_cli.options_of(verbs[verb])]
    assert wrong == []


def test_messages_that_troubleshooting_speaks_of_begin_as_those_of_the_code() -> None:
    page = (ROOT / "docs" / "guides" / "troubleshooting.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([^`]+)`", docs_errors.error_reference(ROOT / "tfspark_cnn"), re.MULTILINE)
    known = [_words(message.replace(docs_errors.BLANK, "*")) for message in told]
    said = [_words(text) for kind, text in re.findall(r"`(\w+): ([^`]+)`", page) if errors.by_name(kind)]
    assert len(said) > 5 and [words for words in said if not any(_alike(words, one) for one in known)] == []


def _words(message: str) -> list[str]:
    """The first three; blanks of the code are stars."""
    return [word.rstrip(",:") for word in message.replace("...", "").split()[:3]]


def _alike(words: list[str], known: list[str]) -> bool:
    return len(words) == len(known) and known.count("*") < 2 and all(map(fnmatch, words, known))


def test_settings_that_commands_override_exist() -> None:
    flags = [flag for _, line in lines() for flag in re.findall(r"--set (\S+=\S+)", line)]
    for flag in flags:
        config.load(None, flags=(flag,))
    assert flags


def test_targets_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [line.split()[1] for _, line in lines() if line.startswith("make ")]
    assert targets and [name for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []


def test_tables_of_settings_can_be_read() -> None:
    for block in of("toml"):
        tomllib.loads(block.code)
    for block in of("yaml"):
        assert yaml.safe_load(block.code), block.place
    wrong = [
        (block.place, line)
        for block in of("properties")
        for line in block.code.splitlines()
        if line and not re.fullmatch(r"#.*|spark\.[\w.]+[ =]\S.*", line)
    ]
    assert wrong == []
