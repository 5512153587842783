"""A notebook in a real JupyterLab, in a real browser, run by its menu as users run it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import kernels
import pages
import pytest
from playwright.sync_api import Page

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
TOKEN = "of-this-test"
START_S, RUN_MS = 60, 200_000

pytestmark = [pytest.mark.timeout(300), pytest.mark.beside]

# What it would ask the world, and all cells in the page, also those that nobody has scrolled to.
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"checkForUpdates": False, "fetchNews": "false"},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}
OVER = r"""() => {
    const failed = document.querySelector('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]');
    const prompts = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputArea-prompt')];
    return failed || (prompts.length && /^\[\d+\]:$/.test(prompts.at(-1).textContent.trim()));
}"""
PICTURES = "all => all.map(one => one.complete ? one.naturalWidth : 0)"


@contextmanager
def jupyterlab(folder: Path, *options: str) -> Iterator[str]:
    """Gives the address of a JupyterLab over a folder, which has ended when the block has."""
    environment = kernels.environment(folder)
    for name, values in SETTINGS.items():
        file = Path(environment["JUPYTERLAB_SETTINGS_DIR"], f"{name}.jupyterlab-settings")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    options += ("--no-browser", "--allow-root", "--ServerApp.port=0", f"--IdentityProvider.token={TOKEN}")
    command = [sys.executable, "-m", "jupyterlab", *options, "--ServerApp.ip=127.0.0.1"]
    server = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        said = iter(server.stderr)
        found = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+", line) for line in said)), None)
        assert found, "JupyterLab did not come up"
        yield found[0]
    finally:
        server.terminate()
        server.communicate(timeout=START_S)  # also takes what it has said


@contextmanager
def tensorboard(logs: Path, *, hub: str) -> Iterator[str]:
    """Gives what the verb names as TensorBoard's address, as on a JupyterHub."""
    command = [sys.executable, "-m", "tfspark_cnn", "tensorboard", str(logs), "--port", "0"]
    environment = {**os.environ, "JUPYTERHUB_SERVICE_PREFIX": hub}
    verb = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        found = re.search(rf"{hub}\S+", verb.stdout.readline())
        assert found, "no address behind the hub's"
        yield found[0]
    finally:
        verb.send_signal(signal.SIGINT)
        verb.communicate(timeout=START_S)


def run_all_cells(page: Page) -> None:
    # Before, it would ask which kernel to take.
    page.locator("#jp-main-statusbar").get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=START_S * 1000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(OVER, timeout=RUN_MS)


def test_a_notebook_runs_in_jupyterlab_and_shows_its_pictures_and_no_error(tmp_path: Path) -> None:
    name = f"{kernels.IN_JUPYTERLAB}.ipynb"
    shutil.copy(NOTEBOOKS / name, tmp_path)
    code = sum(one["cell_type"] == "code" for one in json.loads((NOTEBOOKS / name).read_text())["cells"])
    with jupyterlab(tmp_path) as url, pages.browser_page() as (page, errors):
        page.goto(f"{url}/lab/tree/{name}?token={TOKEN}")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=START_S * 1000)
        run_all_cells(page)
        assert page.locator(".jp-OutputArea-output[data-mime-type*=stderr], [data-mime-type*=error]").count() == 0
        assert page.locator(".jp-Notebook .jp-CodeCell .jp-InputArea-prompt").last.inner_text() == f"[{code}]:"
        widths = page.locator(".jp-OutputArea-output img").evaluate_all(PICTURES)
        assert len(widths) == 2 and min(widths) > 400
        assert "1,000 rows seen" in page.locator(".jp-Notebook").inner_text()
        assert errors == []


@pytest.mark.more
def test_tensorboard_opens_through_jupyter_server_proxy_as_on_a_jupyterhub(tmp_path: Path) -> None:
    from tensorboard.summary import Writer  # here, since it imports TensorFlow

    logs, hub = tmp_path / "logs", "/user/ann/"
    with closing(Writer(str(logs / "chief-0"))) as writer:
        for step in range(3):
            writer.add_scalar("epoch_loss", 1.0 / (step + 1), step)
    with jupyterlab(tmp_path, f"--ServerApp.base_url={hub}") as url, tensorboard(logs, hub=hub) as path:
        assert re.fullmatch(rf"{hub}proxy/\d+/", path)
        with pages.browser_page() as (page, _):
            missing = []
            page.on("response", lambda got: missing.append(got.url) if got.status >= 400 else None)
            page.goto(f"{url}{path}?token={TOKEN}#timeseries")
            for shown in ("epoch_loss", "chief-0"):
                page.get_by_text(shown).first.wait_for(timeout=START_S * 1000)
            # Its style sheet names fonts from the root of the host, where a proxy has none.
            assert [one for one in missing if "/font-roboto/" not in one] == []
