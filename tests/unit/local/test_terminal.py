"""The terminal shows what a person needs, and in JSON what there is."""

import io
import json

from infra.local.terminal import Terminal


def shown(record: object, *, raw: bool = False) -> str:
    out = io.StringIO()
    Terminal(out, raw=raw).show(record if isinstance(record, str) else json.dumps(record))
    return out.getvalue()


REQUEST = {
    "timestamp": "2026-11-20T10:00:00+00:00",
    "kind": "request",
    "method": "POST",
    "path": "/api/v1/projects",
    "status": 201,
    "ms": 12,
    "function": "projects",
    "request_id": "abc",
}


def test_given_a_request_when_shown_then_it_is_one_line_with_all_that_matters() -> None:
    line = shown(REQUEST)
    assert line.count("\n") == 1
    assert all(str(REQUEST[name]) in line for name in ("method", "path", "status", "ms", "function", "request_id"))


def test_given_an_error_when_shown_then_its_traceback_is_readable() -> None:
    text = shown({"level": "ERROR", "message": "it failed", "exception": "Traceback:\n  File x\nValueError: no"})
    assert "it failed" in text
    assert "\n    ValueError: no\n" in text


def test_given_a_record_when_shown_then_its_own_fields_are_kept() -> None:
    assert "attempt=3" in shown({"level": "WARNING", "message": "again", "attempt": 3, "function": "email_sender"})


def test_given_metrics_when_shown_then_they_are_left_to_cloudwatch() -> None:
    assert shown({"_aws": {"Timestamp": 1}, "Sent": 1}) == ""


def test_given_plain_text_when_shown_then_it_is_shown() -> None:
    assert shown("a print of somebody") == "a print of somebody\n"
    assert shown("[1, 2]") == "[1, 2]\n"
    assert shown({"kind": "request"}) == '{"kind": "request"}\n'


def test_given_json_wanted_when_shown_then_lines_are_as_written() -> None:
    assert json.loads(shown(REQUEST, raw=True)) == REQUEST


def test_given_control_characters_when_shown_then_they_do_not_reach_the_terminal() -> None:
    text = shown({"level": "ERROR", "message": "name \x1b[2J\x07", "exception": "a\nb\x1b]0;title\x07"})
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "name \\x1b[2J" in text
    assert "\n    b" in text
