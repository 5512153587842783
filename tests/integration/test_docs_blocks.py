"""Every block of Python in the documentation that can run does."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import docs_blocks
import pytest
from conftest import spark_environment

pytestmark = [pytest.mark.beside, pytest.mark.timeout(300), pytest.mark.more]
RUN_S = 280
PROGRAMS = docs_blocks.programs()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """What went wrong on each page, all run by one process in one Spark application."""
    done = subprocess.run(
        [sys.executable, docs_blocks.__file__, *PROGRAMS],
        cwd=tmp_path_factory.mktemp("blocks"), env={**os.environ, **spark_environment()},
        capture_output=True, text=True, timeout=RUN_S, check=False,
    )  # fmt: skip
    told = [json.loads(line.removeprefix("DONE ")) for line in done.stdout.splitlines() if line.startswith("DONE ")]
    assert len(told) == len(PROGRAMS), done.stdout[-2000:] + done.stderr[-4000:]
    return {one["page"]: one["error"] for one in told}


def test_there_are_programs_in_the_guides_and_on_the_pages_for_users_of_others() -> None:
    assert {"docs/guides/tuning.md", "docs/migration-horovod.md"} <= set(PROGRAMS)


@pytest.mark.parametrize("page", PROGRAMS)
def test_the_programs_of_a_page_run_as_they_stand(page: str, ran: dict[str, str | None]) -> None:
    assert ran[page] is None, ran[page]
