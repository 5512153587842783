"""The only reader of the environment: every variable this package looks at is named here.

Example:
    >>> overrides()          # with TFSPARK_CNN_TRAIN__EPOCHS=3 in the environment
    {'train.epochs': '3'}
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfspark_cnn.errors import ConfigError

PREFIX = "TFSPARK_CNN_"


def get(name: str, default: str | None = None) -> str | None:
    """Gives the value of one variable; an empty one counts as not set, as shells mean it."""
    return os.environ.get(name) or default


def java_home() -> Path | None:
    """Gives the folder in JAVA_HOME, or None where it is not set."""
    home = get("JAVA_HOME")
    return Path(home) if home else None


def search_path() -> str:
    """Gives PATH: the folders programs are looked for in."""
    return get("PATH", os.defpath) or os.defpath


def spark_local_ip() -> str | None:
    """Gives SPARK_LOCAL_IP, the address Spark is to bind, or None where it is not set."""
    return get("SPARK_LOCAL_IP")


def pyspark_python() -> str | None:
    """Gives PYSPARK_PYTHON, the interpreter that Spark's Python tasks run on, or None where it is not set."""
    return get("PYSPARK_PYTHON")


def under_spark_submit() -> bool:
    """Tells whether spark-submit started this process: it says by PYSPARK_GATEWAY_PORT where its JVM listens."""
    return get("PYSPARK_GATEWAY_PORT") is not None


def server_host() -> str | None:
    """Gives TFOS_SERVER_HOST, the address by which executors reach the driver, or None where it is not set."""
    return get("TFOS_SERVER_HOST")


def server_ports() -> Sequence[int]:
    """Gives the ports of TFOS_SERVER_PORT, of which the coordinator is to take a free one; none: any free one.

    Raises:
        ConfigError: it is neither a port nor a range of ports; so do the next two.
    """
    return _ports("TFOS_SERVER_PORT")


def tensorflow_ports() -> Sequence[int]:
    """Gives the ports of TENSORFLOW_PORT, of which each node of this host is to take a free one; none: any."""
    return _ports("TENSORFLOW_PORT")


def tensorboard_port() -> int:
    """Gives TENSORBOARD_PORT, at which TensorBoard is to serve; 0: any free one."""
    return next(iter(_ports("TENSORBOARD_PORT")), 0)


def tensorboard_proxy() -> str | None:
    """Gives the URL, with `%PORT%`, of a proxy that leads to ports of this host, or None where none is known.

    TENSORBOARD_PROXY_URL, as TensorBoard itself reads it; on a JupyterHub that of jupyter-server-proxy, which is whole
    only where the hub knows its public URL, and else begins at the root of the host that serves the notebook.
    """
    hub = get("JUPYTERHUB_PUBLIC_URL") or get("JUPYTERHUB_SERVICE_PREFIX")
    return get("TENSORBOARD_PROXY_URL") or (f"{hub.rstrip('/')}/proxy/%PORT%/" if hub else None)


def _ports(name: str) -> Sequence[int]:
    text = get(name)
    if text is None:
        return ()
    found = re.fullmatch(r"\s*(\d{1,5})\s*(?:-\s*(\d{1,5})\s*)?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last <= 65535:
        raise ConfigError(
            f"{name} is {text!r}, expected a port or a range of ports", hint=f"as {name}=8888 or {name}=9997-9999"
        )
    return range(first, last + 1)


def fork_server(environment: Mapping[str, str]) -> bool:
    """Tells whether nodes with these variables may be forked from a server that stays with their executor.

    TFSPARK_CNN_FORK_SERVER says `on` or `off`. Without it they may, but in containers of YARN (which sets CONTAINER_ID
    there): it adds up what processes share, and kills a container that seems to hold too much.
    """
    chosen = environment.get(f"{PREFIX}FORK_SERVER") or ("off" if environment.get("CONTAINER_ID") else "on")
    return chosen.lower() not in ("off", "0", "false", "no")


def legacy_keras() -> bool:
    """Tells whether `tf.keras` is Keras 2 (TF_USE_LEGACY_KERAS), by TensorFlow's own reading of it."""
    return get("TF_USE_LEGACY_KERAS") in ("1", "true", "True")


def spark_local_dirs() -> list[str]:
    """Gives the directories that Spark gave its Python workers for temporary files (SPARK_LOCAL_DIRS), or /tmp."""
    return [path for path in (get("SPARK_LOCAL_DIRS") or tempfile.gettempdir()).split(",") if path]


def overrides(prefix: str = PREFIX) -> dict[str, str]:
    """Gives the settings of a configuration that the environment overrides.

    A double underscore stands for the dot: `TFSPARK_CNN_TRAIN__EPOCHS=3` is `{"train.epochs": "3"}`. Names without one
    are no settings of a configuration and are left out.

    Args:
        prefix: what the names of the variables start with.
    """
    named = {name.removeprefix(prefix): value for name, value in os.environ.items() if name.startswith(prefix)}
    return {name.lower().replace("__", "."): value for name, value in sorted(named.items()) if "__" in name}


def variable_of(key: str, prefix: str = PREFIX) -> str:
    """Gives the variable that overrides a setting: `train.epochs` is `TFSPARK_CNN_TRAIN__EPOCHS`."""
    return prefix + key.upper().replace(".", "__")


def child_environment(updates: Mapping[str, str | None]) -> dict[str, str]:
    """Gives a copy of the environment for a child process; this process keeps its own.

    Args:
        updates: variables to set; None removes one.
    """
    merged: dict[str, str | None] = {**os.environ, **updates}
    return {name: value for name, value in merged.items() if value is not None}


def changed(environment: Mapping[str, str]) -> list[str]:
    """Gives the names of variables that are not as they were, by name."""
    names = {*os.environ, *environment}
    return sorted(name for name in names if os.environ.get(name) != environment.get(name))


def replace(environment: Mapping[str, str]) -> None:
    """Gives this process other variables, all of them."""
    os.environ.clear()
    os.environ.update(environment)


def visible_gpus() -> list[str] | None:
    """Gives the GPUs in CUDA_VISIBLE_DEVICES, none for "-1", or None where it is not set and all can be seen."""
    text = os.environ.get("CUDA_VISIBLE_DEVICES")  # where it is empty, there are none to be seen
    return None if text is None else [one.strip() for one in text.split(",") if one.strip() not in ("", "-1")]


def use_gpus(addresses: Sequence[str], *, shared: bool = False) -> None:
    """Shows TensorFlow, in this process, the GPUs that Spark assigned; to be called before TensorFlow is imported.

    Args:
        addresses: of the GPUs; none: TensorFlow sees none.
        shared: whether to take memory as it is needed, and leave the rest to other processes; a setting of the user's
            wins.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(addresses)
    if shared:
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
