"""The table of the estimators' Params, from the Params themselves."""

from __future__ import annotations


def param_reference() -> str:
    """Gives name, default and meaning of every Param of `CNNClassifier`, as Markdown."""
    from pyspark.ml.param import Param

    from tfspark_cnn.ml.params import DEFAULTS, ClassifierParams

    found = {
        name: one for kind in ClassifierParams.__mro__ for name, one in vars(kind).items() if isinstance(one, Param)
    }
    lines = [
        f"| `{name}` | {_default(DEFAULTS, name)} | {one.doc.replace('|', ' or ')} |" for name, one in found.items()
    ]
    return "\n".join(["| Param | default | meaning |", "|---|---|---|", *sorted(lines, key=str.lower)])


def _default(defaults: dict[str, object], name: str) -> str:
    return f"`{defaults[name]!r}`" if name in defaults else ""
