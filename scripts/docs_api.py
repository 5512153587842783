"""The pages of the API: one for each module with public names, found by its `__all__`. Pure, but for reading files."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "tfspark_cnn"

ON_NODES = (
    "cluster.context",
    "feed.data_feed",
    "training.parameter_server",
    "training.evaluator",
    "training.keras_gradients",
)
"""Without an `__all__`, but for users: what map_fun gets and may call."""

FOR_USERS = (
    *ON_NODES,
    "augmentation",
    "checkpoints.options",
    "cluster.attempts",
    "cluster.feed_report",
    "cluster.step_report",
    "data.cifar",
    "data.digits",
    "data.idx",
    "data.image_folder",
    "data.pixels",
    "data.shares",
    "data.tfrecord",
    "data.tfrecord_writer",
    "doctor",
    "env",
    "errors",
    "feed.columns",
    "networks",
    "recipes",
    "tensorflowonspark.TFNode",
    "tensorflowonspark.TFParallel",
)
"""These and every module with an `__all__` have a page. One that is not there is left out."""


@dataclass(frozen=True)
class ApiPage:
    """A page of the API.

    Attributes:
        module: as `tfspark_cnn.ml`.
        names: its public names; none: all of it that has a docstring.
        summary: the first sentence of its docstring.
    """

    module: str
    names: tuple[str, ...]
    summary: str

    @property
    def path(self) -> str:
        """Where the page is in the site."""
        return f"reference/{self.module}.md"

    def markdown(self) -> str:
        """Gives the page."""
        head = f"# {self.module}\n\n"
        if not self.names:
            return f"{head}::: {self.module}\n    options: {{show_root_heading: false, show_root_toc_entry: false}}\n"
        module = (
            f"::: {self.module}\n    options: {{show_root_heading: false, show_root_toc_entry: false, members: []}}\n"
        )
        return head + "\n".join([module, *(f"::: {self.module}.{name}\n" for name in self.names)])


def api_pages(root: Path) -> list[ApiPage]:
    """Gives the pages of the package in a folder, by name."""
    files = {_name(path, root): path for path in sorted((root / PACKAGE).rglob("*.py"))}
    wanted = {f"{PACKAGE}.{name}" for name in FOR_USERS}
    pages = (_page(name, ast.parse(path.read_text(encoding="utf-8")), name in wanted) for name, path in files.items())
    return [page for page in pages if page is not None]


def _name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _page(module: str, tree: ast.Module, wanted: bool) -> ApiPage | None:
    names = _exported(tree)
    if not (names or wanted):
        return None
    summary = " ".join((ast.get_docstring(tree) or "").partition("\n\n")[0].split())
    return ApiPage(module, tuple(name for name in names if not name.startswith("_")), summary)


def _exported(tree: ast.Module) -> list[str]:
    for one in tree.body:
        if isinstance(one, ast.Assign) and [ast.unparse(target) for target in one.targets] == ["__all__"]:
            return list(ast.literal_eval(one.value))
    return []


def index(pages: list[ApiPage]) -> str:
    """Gives the table of the pages."""
    lines = [f"| [`{page.module}`]({page.path.removeprefix('reference/')}) | {_cell(page.summary)} |" for page in pages]
    return "\n".join(["| module | what it is |", "|---|---|", *lines])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
