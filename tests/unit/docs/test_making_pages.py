"""What the documentation is made of besides its pages: navigation, links, docstrings, verbs, errors, Params."""

from __future__ import annotations

import docs_api
import docs_cli
import docs_errors
import docs_griffe
import docs_links
import docs_nav
import docs_params
import pytest
from docs_blocks import ROOT

import tfspark_cnn
from tfspark_cnn import errors


def test_pages_come_in_the_order_of_the_patterns_each_once_and_none_is_out_of_reach() -> None:
    sections = [{"Start": ["index.md", "first.md"]}, {"Guides": ["guides/b.md", "guides/*.md"]}, {"None": ["no.md"]}]
    pages = ["guides/a.md", "guides/b.md", "guides/deep/c.md", "index.md", "stray.md"]
    assert docs_nav.navigation(sections, pages) == [
        {"Start": ["index.md"]}, {"Guides": ["guides/b.md", "guides/a.md"]}, {"More": ["guides/deep/c.md", "stray.md"]},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "source", "page", "expected"),
    [
        ("[a](docs/adr/1.md#x)", "README.md", "index.md", "[a](adr/1.md#x)"),
        ("![p](docs/p.svg)", "README.md", "index.md", "![p](p.svg)"),
        ("[a](docs/adr)", "README.md", "index.md", "[a](adr/index.md)"),
        ("[c](conf/digits.toml)", "README.md", "index.md", "[c](repository/conf/digits.toml)"),
        ("[r](../../README.md#streams)", "docs/guides/gpu.md", "guides/gpu.md", "[r](../index.md#streams)"),
        ("[s](security.md)", "docs/guides/gpu.md", "guides/gpu.md", "[s](security.md)"),
        ("[b](../README.md)", "bench/README.md", "bench.md", "[b](index.md)"),
        ("[`a[0]`](docs/a.md)", "README.md", "index.md", "[`a[0]`](a.md)"),
        ("[w](https://example.org) [h](#here)", "README.md", "index.md", "[w](https://example.org) [h](#here)"),
        ("`[a](docs/a.md)`\n```text\n[a](docs/a.md)\n```\n", "README.md", "x.md", None),
    ],
)
def test_links_lead_to_the_same_place_in_the_site(text: str, source: str, page: str, expected: str | None) -> None:
    pages = {"README.md": "index.md"}
    place = docs_links.relinked(text, source=source, page=page, place=lambda path: docs_links.place_of(path, pages))
    assert place == (text if expected is None else expected)


def test_a_page_may_be_called_otherwise_than_by_its_title() -> None:
    assert docs_nav.navigation([{"API": ["*.md"]}], ["a.md", "b.md"], labels={"b.md": "B"}) == [
        {"API": ["a.md", {"B": "b.md"}]}
    ]


def test_links_of_a_file_are_known_as_paths_of_the_repository() -> None:
    assert docs_links.targets("[a](../conf/x.toml) [b](b.md#c)", source="docs/a.md") == ["conf/x.toml", "docs/b.md"]


def test_every_module_with_public_names_has_a_page_and_every_name_is_on_it() -> None:
    pages = {page.module: page for page in docs_api.api_pages(ROOT)}
    public = [name for name in tfspark_cnn.__all__ if not name.startswith("_")]
    assert pages["tfspark_cnn"].names == tuple(public)
    assert {"tfspark_cnn.ml", "tfspark_cnn.data", "tfspark_cnn.augmentation", "tfspark_cnn.errors"} <= set(pages)
    assert all(f"::: tfspark_cnn.{name}\n" in pages["tfspark_cnn"].markdown() for name in public)
    assert "tfspark_cnn.cluster.coordinator" not in pages


def test_a_module_gets_a_page_by_its_all_and_one_that_is_not_there_none(tmp_path) -> None:
    (tmp_path / "tfspark_cnn" / "new").mkdir(parents=True)
    (tmp_path / "tfspark_cnn" / "new" / "__init__.py").write_text('"""A | b.\n\nMore."""\n__all__ = ["C", "__d__"]\n')
    (tmp_path / "tfspark_cnn" / "inner.py").write_text('"""Nothing for users."""\n')
    (page,) = docs_api.api_pages(tmp_path)
    assert (page.module, page.names, page.path) == ("tfspark_cnn.new", ("C",), "reference/tfspark_cnn.new.md")
    assert docs_api.index([page]).splitlines()[-1] == "| [`tfspark_cnn.new`](tfspark_cnn.new.md) | A \\| b. |"


def test_every_verb_is_on_the_page_with_its_options() -> None:
    page, verbs = docs_cli.cli_reference(), docs_cli.verbs()
    assert {"train", "predict", "evaluate", "data", "export"} <= set(verbs)
    for name, command in verbs.items():
        _, _, section = page.partition(f"## {name}\n")
        shown = section.partition("\n## ")[0]
        missing = [option for option in docs_cli.options_of(command) - {"--help"} if option not in shown]
        assert section and missing == []


def test_every_class_of_errors_is_on_the_page_with_messages_and_cures_from_the_code() -> None:
    page = docs_errors.error_reference(ROOT / "tfspark_cnn")
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.TFSparkError)]
    assert [kind.__name__ for kind in classes if f"## {kind.__name__}\n" not in page] == []
    assert "| `there is no queue …: they are …` | `name it in run(queues=...)` |" in page


def test_messages_are_read_from_the_code_with_blanks_for_names() -> None:
    code = (
        'raise ConfigError(f"{a} is" " wrong" + f" at {b}", hint="mend it")\nValueError("not ours")\nConfigError(text)'
    )
    assert list(docs_errors.raised(code)) == [("ConfigError", "… is wrong at …", "mend it")]


def test_examples_of_docstrings_are_read_as_such() -> None:
    assert docs_griffe.readable("A.\n\n    Example:\n        >>> b()      # doctest: +SKIP\n") == (
        "A.\n\n    Examples:\n        >>> b()\n"
    )


def test_every_param_of_the_classifier_is_in_the_table_with_its_default() -> None:
    table = docs_params.param_reference()
    for line in ("| `batchSize` | `32` |", "| `inputShape` |  |", "| `model` | `'small_cnn'` |", "| `featuresCol` |"):
        assert line in table
