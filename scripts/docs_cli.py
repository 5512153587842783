"""The page of the command line: every verb with its arguments and options, as typer has them."""

from __future__ import annotations

from typing import Any


def cli_reference() -> str:
    """Gives the verbs of `tfspark-cnn` as Markdown."""
    return "\n\n".join(_verb(name, command) for name, command in verbs().items())


def verbs() -> dict[str, Any]:
    """Gives every verb by its name, as typer calls it."""
    import typer

    from tfspark_cnn.cli.main import app

    group: Any = typer.main.get_command(app)
    context = group.context_class(group, info_name="tfspark-cnn")
    # Asked for one by one, since a group may know no more than a verb's name until then.
    return {name: group.resolve_command(context, [name])[1] for name in group.commands}


def options_of(command: Any) -> set[str]:
    """Gives the names of a verb's options, `--help` among them."""
    names = (name for one in command.params for name in (*one.opts, *one.secondary_opts))
    return {"--help", *(name for name in names if name.startswith("-"))}


def _verb(name: str, command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    usage = " ".join(["tfspark-cnn", name, "[OPTIONS]", *(_placeholder(one) for one in arguments)])
    parts = [f"## {name}", f"```text\n{usage}\n```", *_help(command.help or "")]
    parts += [_table("argument", [(one, _placeholder(one)) for one in arguments])] if arguments else []
    parts += [_table("option", [(one, _named(one)) for one in options])] if options else []
    return "\n\n".join(parts)


def _help(text: str) -> list[str]:
    paragraphs = [" ".join(one.split()) for one in text.replace("\f", "").split("\n\n")]
    return [_example(one) if one.startswith("Example: ") else one for one in paragraphs if one]


def _example(paragraph: str) -> str:
    return f"```bash\n{paragraph.removeprefix('Example: ')}\n```"


def _placeholder(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    return name if parameter.required else f"[{name}]"


def _named(option: Any) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    return names if getattr(option, "is_flag", False) else f"{names} {option.metavar or option.name.upper()}"


def _table(kind: str, rows: list[tuple[Any, str]]) -> str:
    lines = [f"| `{name}` | {_described(parameter)} |" for parameter, name in rows]
    return "\n".join([f"| {kind} | |", "|---|---|", *lines])


def _described(parameter: Any) -> str:
    said = (getattr(parameter, "help", None) or "").replace("|", "\\|").replace("<", "&lt;")
    default = parameter.default
    shown = default if isinstance(default, str | int | float) and not isinstance(default, bool) and default else None
    return said if shown is None else f"{said} Default: `{shown}`."
