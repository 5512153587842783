"""Findings and how they read."""

from __future__ import annotations

import json

from tfspark_cnn.doctor.findings import Report, failed, ok, told, warning

GOOD = ok("java", "Java 17")
BAD = failed("ports", "node 0 cannot\n  reach node 1", cure="open them")
POOR = warning("disk", "1 GiB <free>", cure="free some")


def test_a_report_with_warnings_alone_is_ok() -> None:
    report = Report((GOOD, POOR), nodes=2, seconds=1.25)
    assert report.ok and report.failed == () and report.warnings == (POOR,)
    assert str(report).splitlines()[-1] == "2 nodes examined in 1.2 s: 1 warning"


def test_a_report_reads_as_a_line_for_what_was_seen_and_one_for_the_cure() -> None:
    report = Report((GOOD, BAD, POOR), nodes=1)
    assert not report.ok
    assert str(report).splitlines() == [
        "ok       java: Java 17",
        "failed   ports: node 0 cannot reach node 1",
        "  to do: open them",
        "warning  disk: 1 GiB <free>",
        "  to do: free some",
        "1 node examined in 0.0 s: 1 failed, 1 warning",
    ]
    assert "&lt;free&gt;" in report._repr_html_()


def test_a_report_is_json_with_names_states_and_cures() -> None:
    found = json.loads(json.dumps(Report((BAD,), nodes=2).as_dict()))
    assert found["ok"] is False and found["nodes"] == 2
    assert found["findings"] == [
        {"name": "ports", "status": "failed", "seen": "node 0 cannot reach node 1", "cure": "open them"}
    ]


def test_findings_can_be_asked_for_by_name() -> None:
    assert Report((GOOD, BAD)).of("java") == (GOOD,)


def test_what_failed_is_told_in_one_line_for_a_hint() -> None:
    assert told([GOOD, BAD, POOR]) == "ports: node 0 cannot reach node 1, so open them"
    assert told([GOOD, POOR]) == ""
