"""Where the TensorBoard of a cluster serves, and the URL by which it opens from where the user sits. Pure.

Example:
    >>> TensorBoardOptions(port=6006, path_prefix="/runs").path_prefix
    '/runs'
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any

from tfspark_cnn.errors import ConfigError

LOOPBACK = "127.0.0.1"
PORT_MARK = "%PORT%"
"""What stands for the port in the URL of a proxy, as in TensorBoard's own TENSORBOARD_PROXY_URL."""

_EVERYWHERE = ("0.0.0.0", "::", "[::]")


@dataclass(frozen=True)
class TensorBoardOptions:
    """How TensorBoard serves; for `TFCluster.run(tensorboard=...)`.

    It asks nobody for a password: whoever reaches its port sees all that it shows.

    Attributes:
        host: the address to listen on; None: the one that Spark's driver listens on, or behind a proxy this host alone.
        port: the first port to try; one that is in use gives way to the next. 0: any free one. None: TENSORBOARD_PORT
            if it is set, else any free one.
        path_prefix: of all its paths, as `/tensorboard`, for a reverse proxy that does not take it away.
        proxy: the URL of a proxy that leads to a port of this host, with `%PORT%` for the port, as
            `https://hub.example.org/user/ann/proxy/%PORT%/`. None: TENSORBOARD_PROXY_URL if it is set, else
            jupyter-server-proxy's on a JupyterHub. Empty: none.
    """

    host: str | None = None
    port: int | None = None
    path_prefix: str = ""
    proxy: str | None = None

    def __post_init__(self) -> None:
        """Refuses what TensorBoard would not serve at."""
        if self.host is not None and (not isinstance(self.host, str) or not re.fullmatch(r"[\w.:\[\]-]+", self.host)):
            raise ConfigError(
                f"host of TensorBoard is {self.host!r}, expected a name or an address", hint="0.0.0.0: all"
            )
        whole = isinstance(self.port, int) and not isinstance(self.port, bool)
        if self.port is not None and not (whole and 0 <= self.port <= 65535):
            raise ConfigError(f"port of TensorBoard is {self.port!r}, expected 0 to 65535", hint="pass 6006; 0: any")
        if self.path_prefix and not re.fullmatch(r"(/[\w.~%-]+)+/?", self.path_prefix):
            raise ConfigError(f"path_prefix is {self.path_prefix!r}, expected a path", hint="pass '/tensorboard'")
        if self.proxy and PORT_MARK not in self.proxy:
            raise ConfigError(f"proxy is {self.proxy!r}, expected an URL with %PORT%", hint="pass '/proxy/%PORT%/'")


def options_of(tensorboard: object) -> TensorBoardOptions | None:
    """Gives the options that `run(tensorboard=...)` means: True are the defaults, False is none.

    Raises:
        ConfigError: it is neither of them, nor options.
    """
    if tensorboard is None or tensorboard is False:
        return None
    if isinstance(tensorboard, TensorBoardOptions):
        return tensorboard
    if tensorboard is True or (isinstance(tensorboard, int) and tensorboard == 1):
        return TensorBoardOptions()
    raise ConfigError(
        f"tensorboard is {tensorboard!r}, expected True, False or TensorBoardOptions",
        hint="pass tensorboard=TensorBoardOptions(host='0.0.0.0', port=6006)",
    )


@dataclass(frozen=True)
class Address:
    """What is known of a TensorBoard before its port is.

    Attributes:
        bind: the address that it listens on.
        shown: the name by which a browser reaches that.
        path_prefix: of its paths, without a slash at the end.
        proxy: URL of a proxy with `%PORT%`, or empty.
    """

    bind: str
    shown: str
    path_prefix: str = ""
    proxy: str = ""

    def url(self, port: int) -> TensorBoardLink:
        """Gives where it opens.

        Example:
            >>> print(Address("127.0.0.1", "127.0.0.1", proxy="/user/ann/proxy/%PORT%/").url(6006))
            /user/ann/proxy/6006/
        """
        shown = f"[{self.shown}]" if ":" in self.shown else self.shown
        base = self.proxy.replace(PORT_MARK, str(port)) if self.proxy else f"http://{shown}:{port}"
        return TensorBoardLink(f"{base.rstrip('/')}{self.path_prefix}/")


def address(options: TensorBoardOptions, *, bind: str, public: str, proxy: str | None) -> Address:
    """Gives where TensorBoard listens, and what a browser is told.

    Args:
        options: as they were given.
        bind: to listen on if they say nothing.
        public: this host's name for others.
        proxy: of the surroundings, or None.

    Example:
        >>> address(TensorBoardOptions(), bind="0.0.0.0", public="driver.example.org", proxy=None).url(6006)
        'http://driver.example.org:6006/'
    """
    proxied = (proxy if options.proxy is None else options.proxy) or ""
    listens = options.host or (LOOPBACK if proxied else bind)
    shown = public if listens in _EVERYWHERE else listens.strip("[]")
    return Address(listens.strip("[]"), shown, options.path_prefix.rstrip("/"), proxied)


class TensorBoardLink(str):
    """An URL that a notebook and a terminal show as a link."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        text = html.escape(self)
        return f'<a href="{text}" target="_blank" rel="noopener">{text}</a>'

    def __rich__(self) -> Any:
        """Gives what rich prints: a link, where the terminal knows links and it is a whole URL."""
        from rich.text import Text

        return Text(str(self), style=f"link {self}" if "://" in self else "")
