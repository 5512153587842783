"""Where TensorBoard listens, and the URL that a browser is told."""

from __future__ import annotations

import pickle

import pytest

from tfspark_cnn.cluster.tensorboard_options import TensorBoardLink, TensorBoardOptions, address, options_of
from tfspark_cnn.errors import ConfigError

HUB = "/user/ann/proxy/%PORT%/"


@pytest.mark.parametrize(
    ("options", "proxy", "bind", "url"),
    [
        ({}, None, "10.0.0.5", "http://10.0.0.5:6006/"),
        ({"host": "0.0.0.0"}, None, "0.0.0.0", "http://driver.example.org:6006/"),
        ({"host": "::1"}, None, "::1", "http://[::1]:6006/"),
        ({"path_prefix": "/board/"}, None, "10.0.0.5", "http://10.0.0.5:6006/board/"),
        ({}, HUB, "127.0.0.1", "/user/ann/proxy/6006/"),
        ({"path_prefix": "/board"}, HUB, "127.0.0.1", "/user/ann/proxy/6006/board/"),
        ({"host": "0.0.0.0"}, HUB, "0.0.0.0", "/user/ann/proxy/6006/"),
        ({"proxy": ""}, HUB, "10.0.0.5", "http://10.0.0.5:6006/"),
        ({"proxy": "https://gate/%PORT%"}, HUB, "127.0.0.1", "https://gate/6006/"),
    ],
)
def test_it_listens_and_is_shown_where_the_user_can_open_it(
    options: dict[str, str], proxy: str | None, bind: str, url: str
) -> None:
    found = address(TensorBoardOptions(**options), bind="10.0.0.5", public="driver.example.org", proxy=proxy)
    assert (found.bind, found.url(6006)) == (bind, url)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": ""}, "host of TensorBoard is '', expected a name or an address"),
        ({"host": "a b"}, "host of TensorBoard is 'a b'"),
        ({"port": 70000}, "port of TensorBoard is 70000, expected 0 to 65535"),
        ({"port": True}, "port of TensorBoard is True"),
        ({"path_prefix": "board"}, "path_prefix is 'board', expected a path"),
        ({"proxy": "https://gate/6006"}, "proxy is 'https://gate/6006', expected an URL with %PORT%"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TensorBoardOptions(**options)  # type: ignore[arg-type]


def test_run_takes_yes_no_or_options() -> None:
    own = TensorBoardOptions(port=6006)
    assert [options_of(one) for one in (True, False, None, own)] == [TensorBoardOptions(), None, None, own]
    with pytest.raises(ConfigError, match="tensorboard is 'yes', expected True, False or TensorBoardOptions"):
        options_of("yes")


def test_the_url_is_a_link_in_a_notebook_and_in_a_terminal() -> None:
    link = TensorBoardLink('http://host:1/?a=1&b="')
    shown = "http://host:1/?a=1&amp;b=&quot;"
    assert link._repr_html_() == f'<a href="{shown}" target="_blank" rel="noopener">{shown}</a>'
    assert (str(link.__rich__()), link.__rich__().style) == (link, f"link {link}")
    assert TensorBoardLink("/proxy/1/").__rich__().style == "", "a terminal knows no host for it"
    assert pickle.loads(pickle.dumps(link)) == link
