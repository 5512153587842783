"""The times of the first commands: how they are taken, and that the page has them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench import first_run, readme

SERVER = """
import http.server, pathlib, signal, sys
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(f"TensorBoard is at http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    pathlib.Path("interrupted").touch()
"""


def test_the_page_has_the_times_that_were_taken_last() -> None:
    text = first_run.PAGE.read_text(encoding="utf-8")
    assert readme.between(text) == first_run.section(first_run.FirstRun.read()), "run: python -m bench.first_run"


def test_the_table_has_a_line_for_each_command_and_their_sum(tmp_path: Path) -> None:
    found = first_run.FirstRun("2 cores", (1.0, 200.4, 8.0, 2.0, 20.0), 180.2)
    lines = found.table().splitlines()
    assert [line.split("|")[1].strip(" `") for line in lines[2:7]] == [step.command for step in first_run.STEPS]
    assert lines[3].endswith("| 200 s |")
    assert lines[-1].startswith("231 s in all, 180 s of them for installing. Taken on 2 cores, ")
    page = tmp_path / "page.md"
    page.write_text(f"# A\n\n{readme.BEGIN}\n\nold\n\n{readme.END}\n", encoding="utf-8")
    first_run.fill(found, page)
    assert readme.between(page.read_text(encoding="utf-8")) == found.table()


def test_without_times_the_page_says_so(tmp_path: Path) -> None:
    assert first_run.section(first_run.FirstRun.read(tmp_path / "none.json")) == first_run.NONE_TAKEN


def test_a_command_runs_in_its_folder_and_one_that_fails_tells_what_it_wrote(tmp_path: Path) -> None:
    assert 0 <= first_run.run("mkdir clone && cd clone && touch there", tmp_path) < 30
    assert (tmp_path / "clone" / "there").exists()
    with pytest.raises(RuntimeError, match="expected `echo no space >&2; exit 3` to succeed, it gave 3:\nno space"):
        first_run.run("echo no space >&2; exit 3", tmp_path)


def test_a_page_that_is_served_is_fetched_and_its_server_interrupted(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER, encoding="utf-8")
    assert first_run.serve(f"{sys.executable} server.py", tmp_path) > 0
    assert (tmp_path / "interrupted").exists()


def test_a_server_that_ends_before_it_serves_is_an_error_with_what_it_wrote(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"expected `echo no port` to print the URL .*:\nno port"):
        first_run.serve("echo no port", tmp_path)


def test_a_new_user_has_nothing_of_this_environment() -> None:
    own = os.path.join("venv", "bin")
    given = {"PATH": os.pathsep.join([own, "elsewhere"]), "VIRTUAL_ENV": "venv", "HOME": "home"}
    assert first_run.environment(given, own=own) == {"PATH": "elsewhere", "HOME": "home"}
