"""Imports: a file becomes contacts, and every row is accounted for."""

import io
import json
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
import xlsxwriter  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.campaign_processor import importing
from functions.campaign_processor.service import work_on
from functions.campaigns.data.schemas import ImportStatus, UploadRead
from infra.local.events import sqs_event
from infra.local.invocation import invoke
from quintet.files.purposes import XLSX
from quintet.http.schemas import Page
from tests.support.api import Api
from tests.support.expect import problem
from tests.support.importing import (
    campaign_of,
    contacts,
    counts,
    failed_rows,
    imported,
    mailed,
    recorded,
    send,
    status,
    table,
    work_off,
)
from tests.support.people import person
from tests.support.statements import counted, execute
from tests.support.uploading import announced, presign, process, received, upload
from tests.support.uploading import send as send_form

ANN, BOB, CAT = (f"{name}@example.com" for name in ("ann", "bob", "cat"))


@pytest.fixture(scope="module")
def boss(stack: object) -> Api:
    """Whose campaigns these are."""
    return person()


@pytest.fixture
def campaign(boss: Api) -> str:
    """A campaign without contacts."""
    return campaign_of(boss)


def test_given_a_csv_file_when_imported_then_its_rows_are_contacts(boss: Api, campaign: str) -> None:
    rows = [("Ann Lee", ANN, "(212) 555-0123", "Paris"), ("Bob", BOB, "", ""), ("Cat", "", "+44 20 7946 0018", "Rome")]
    done = imported(boss, campaign, table(*rows))
    assert (done["status"], done["percent"], counts(done)) == ("processed", 100, (3, 0, 0, 0, 3))
    assert done["mapping"] == {
        "header": True,
        "header_row": 1,
        "columns": ["Name", "E-mail", "Phone", "City"],
        "full_name": "Name",
        "email": "E-mail",
        "phone": "Phone",
        "attributes": ["City"],
        "dates": [],
    }
    assert done["table_format"] == {"kind": "csv", "encoding": "utf-8", "delimiter": ",", "quote": '"'}
    assert [tuple(contact)[:4] for contact in contacts(campaign)] == [
        ("Cat", None, "+442079460018", {"City": "Rome"}),
        ("Ann Lee", ANN, "+12125550123", {"City": "Paris"}),
        ("Bob", BOB, None, {}),
    ]
    # AND whoever uploaded it is told, once
    assert mailed(done["id"]) == ["campaign_upload.finished"]
    assert [type for type, _ in recorded(done["id"])] == [
        "campaign_upload.requested",
        "campaign_upload.started",
        "campaign_upload.progressed",
        "campaign_upload.finished",
    ]


def test_given_bad_rows_then_each_has_its_line_and_reason_and_comes_back_in_a_list(boss: Api, campaign: str) -> None:
    content = table(("Ann", ANN, "", ""), ("=1+1", "nonsense", "", "x"), ("C\nD", "", "12", ""), ("E", "", "", ""))
    done = imported(boss, campaign, content)
    assert counts(done) == (1, 0, 0, 3, 4)
    assert [error["line"] for error in done["errors"]] == [3, 4, 6]
    listed = failed_rows(boss, campaign, done["id"])
    assert listed[0] == ["Line", "Reason", "Name", "E-mail", "Phone", "City"]
    assert [row[2:] for row in listed[1:]] == [
        ["'=1+1", "nonsense", "", "x"],
        ["C\nD", "", "12", ""],
        ["E", "", "", ""],
    ]
    # AND corrected it can be imported
    listed[1][3] = "dan@example.com"
    again = imported(boss, campaign, table(*listed[1:2], header=",".join(listed[0])))
    assert counts(again) == (1, 0, 0, 0, 1)
    assert [contact.full_name for contact in contacts(campaign)] == ["Ann", "=1+1"]


def test_given_a_list_of_failed_rows_that_fails_again_then_cells_stay_as_they_came(boss: Api, campaign: str) -> None:
    done = imported(boss, campaign, table(("=1+1", "nonsense", "", "+x")))
    for _ in range(2):
        listed = failed_rows(boss, campaign, done["id"])
        assert listed[0] == ["Line", "Reason", "Name", "E-mail", "Phone", "City"]
        assert [row[2:] for row in listed[1:]] == [["'=1+1", "nonsense", "", "'+x"]]
        done = imported(boss, campaign, table(*listed[1:], header=",".join(listed[0])))
    listed[1][3] = ANN
    imported(boss, campaign, table(*listed[1:], header=",".join(listed[0])))
    [ann] = contacts(campaign)
    assert tuple(ann)[:4] == ("=1+1", ANN, None, {"City": "+x"})


@pytest.mark.parametrize("mapping", [None, '{"email": 2, "full_name": 1, "header": false}'])
def test_given_a_file_without_names_then_its_list_of_failed_rows_has_them(
    boss: Api, campaign: str, mapping: str | None
) -> None:
    content = b"Ann,ann@example.com,+12125550100\n" * 3 + b"Bob,bob.example.com,+12125550101\n"
    done = imported(boss, campaign, content, **({"mapping": mapping} if mapping else {}))
    listed = failed_rows(boss, campaign, done["id"])
    listed[1][3] = BOB
    assert counts(imported(boss, campaign, table(*listed[1:], header=",".join(listed[0])))) == (1, 0, 0, 0, 1)


@pytest.mark.parametrize("again", ["as before", "by position", None])
def test_given_a_mapping_then_the_corrected_list_of_failed_rows_is_imported_by_it(
    boss: Api, campaign: str, again: str | None
) -> None:
    by_name = '{"email": "Erreichbar", "full_name": "Wer", "dates": ["Seit"], "attributes": ["Ort"]}'
    by_position = '{"email": 2, "full_name": 1, "dates": [4], "attributes": [3]}'
    content = table(("Ann", ANN, "Bonn", "1.2.2026", "x"), ("Bob", "bob", "Rom", "3.4.2026", "y"), header=(
        "Wer,Erreichbar,Ort,Seit,Email"
    ))  # fmt: skip
    done = imported(boss, campaign, content, mapping=by_name)
    assert counts(done) == (1, 0, 0, 1, 2)
    listed = failed_rows(boss, campaign, done["id"])
    # THEN its columns are called as they were
    assert listed[0] == ["Line", "Reason", "Wer", "Erreichbar", "Ort", "Seit", "Email"]
    # WHEN it fails again, and is corrected then
    listed = failed_rows(boss, campaign, imported(boss, campaign, table(*listed[1:], header=",".join(listed[0])))["id"])
    listed[1][3] = BOB
    mapping = {"as before": by_name, "by position": by_position, None: None}[again]
    corrected = table(*listed[1:], header=",".join(listed[0]))
    done = imported(boss, campaign, corrected, **({"mapping": mapping} if mapping else {}))
    # THEN it is imported as the first file was
    assert counts(done) == (1, 0, 0, 0, 1)
    assert tuple(contacts(campaign)[1])[:4] == ("Bob", BOB, None, {"Ort": "Rom", "Seit": "2026-04-03"})
    # AND a preview shows that
    shown = boss.get(f"/campaigns/{campaign}/data/preview").json()
    assert [column["field"] for column in shown["columns"]] == ["full_name", "email", None, None, None]
    assert shown["rows"] == [["Bob", BOB, "Rom", "3.4.2026", "y"]]


def test_given_no_bad_rows_then_there_is_no_list(boss: Api, campaign: str) -> None:
    done = imported(boss, campaign, table(("Ann", ANN, "", "")))
    problem(boss.get(f"/campaigns/{campaign}/data/{done['id']}/failed-rows"), 404)


@pytest.mark.parametrize("dry_run", [True, False])
def test_given_duplicates_when_skipping_then_the_first_row_counts(boss: Api, campaign: str, dry_run: bool) -> None:
    imported(boss, campaign, table(("Old", ANN, "", "")))
    content = table(("New", ANN, "", ""), ("Bob", BOB, "", ""), ("Robert", BOB.upper(), "", ""))
    done = imported(boss, campaign, content, dry_run=dry_run)
    assert (done["status"], counts(done)) == ("processed", (1, 0, 2, 0, 3))
    names = [contact.full_name for contact in contacts(campaign)]
    assert names == (["Old"] if dry_run else ["Old", "Bob"])


@pytest.mark.parametrize("dry_run", [True, False])
def test_given_duplicates_when_updating_then_the_last_row_counts(boss: Api, campaign: str, dry_run: bool) -> None:
    imported(boss, campaign, table(("Old", ANN, "2125550100", "Paris")))
    content = table(
        ("A", ANN, "", "Rome"), ("Bob", BOB, "", ""), ("New", ANN, "", ""), ("Robert", BOB, "2125550101", "")
    )
    done = imported(boss, campaign, content, dry_run=dry_run, on_duplicate="update")
    assert counts(done) == (1, 1, 2, 0, 4)
    if not dry_run:
        ann, bob = contacts(campaign)
        # what the row leaves empty stays
        assert tuple(ann)[:5] == ("New", ANN, "+12125550100", {"City": "Rome"}, 2)
        assert tuple(bob)[:5] == ("Robert", BOB, "+12125550101", {}, 1)


def test_given_an_update_that_changes_nothing_then_it_is_a_duplicate(boss: Api, campaign: str) -> None:
    content = table(("Ann", ANN, "", "Paris"))
    imported(boss, campaign, content)
    assert counts(imported(boss, campaign, content, on_duplicate="update")) == (0, 0, 1, 0, 1)
    assert contacts(campaign)[0].version == 1


KEY = st.sampled_from([f"p{n}@example.com" for n in range(4)] + ["", "bad"])
LINE = st.tuples(
    st.sampled_from(["A", "B", ""]),
    KEY,
    st.sampled_from(["+12125550100", "+12125550101", ""]),
    st.sampled_from(["Rome", "Bonn", ""]),
).filter(lambda row: bool(row[1] or (row[0] and not row[2])))


@given(
    st.lists(st.lists(LINE, min_size=1, max_size=12), min_size=1, max_size=3),
    st.sampled_from(["skip", "update"]),
    st.integers(1, 6),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_given_any_files_then_every_row_is_counted_and_chunks_make_no_difference(
    boss: Api, monkeypatch: pytest.MonkeyPatch, files: list[list[tuple[str, ...]]], policy: str, chunk_rows: int
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", chunk_rows)
    campaign = campaign_of(boss)
    known: dict[str, tuple[str, ...]] = {}
    for rows in files:
        tried = imported(boss, campaign, table(*rows), dry_run=True, on_duplicate=policy)
        done = imported(boss, campaign, table(*rows), on_duplicate=policy)
        # THEN the counts are those of a plain loop over the rows
        before, valid = dict(known), 0
        for name, key, phone, city in rows:
            if "@" in key:
                valid += 1
                if key not in known:
                    known[key] = (name, phone, city)
                elif policy == "update":
                    known[key] = tuple(new or old for new, old in zip((name, phone, city), known[key], strict=True))
        created = len(known) - len(before)
        updated = sum(known[key] != before[key] for key in before)
        expected = (created, updated, valid - created - updated, len(rows) - valid, len(rows))
        assert counts(done) == expected
        assert counts(tried) == expected
        # AND equal what the tables say
        assert {
            contact.email: (contact.full_name or "", contact.phone or "", contact.attributes.get("City", ""))
            for contact in contacts(campaign)
        } == known
        tables: Any = execute(
            "SELECT (SELECT count(*) FROM contacts WHERE upload_id = %(id)s) AS created,"
            " (SELECT count(*) FROM upload_changes WHERE upload_id = %(id)s) AS updated,"
            " (SELECT count(*) FROM upload_failures WHERE upload_id = %(id)s) AS invalid",
            id=UUID(done["id"]),
        )
        assert tuple(tables[0]) == (done["rows_created"], done["rows_updated"], done["rows_invalid"])


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("chunk_rows", [1, 2])
def test_given_two_rows_for_a_contact_when_updating_then_what_either_says_counts(
    boss: Api, campaign: str, monkeypatch: pytest.MonkeyPatch, chunk_rows: int, dry_run: bool
) -> None:
    imported(boss, campaign, table(("Old", ANN, "", "")))
    monkeypatch.setattr(importing, "CHUNK_ROWS", chunk_rows)
    content = table(("Old", ANN, "2125550100", "Rome"), ("Old", ANN, "", ""))
    assert counts(imported(boss, campaign, content, dry_run=dry_run, on_duplicate="update")) == (0, 1, 1, 0, 2)
    if not dry_run:
        assert tuple(contacts(campaign)[0])[:4] == ("Old", ANN, "+12125550100", {"City": "Rome"})


@pytest.mark.parametrize("chunk_rows", [1, 2])
def test_given_a_contact_that_is_changed_and_changed_back_then_it_is_not_counted_as_updated(
    boss: Api, campaign: str, monkeypatch: pytest.MonkeyPatch, chunk_rows: int
) -> None:
    imported(boss, campaign, table(("Old", ANN, "", "")))
    monkeypatch.setattr(importing, "CHUNK_ROWS", chunk_rows)
    done = imported(boss, campaign, table(("New", ANN, "", ""), ("Old", ANN, "", "")), on_duplicate="update")
    assert counts(done) == (0, 0, 2, 0, 2)
    # AND undoing it does nothing to it
    assert boss.post(f"/campaigns/{campaign}/data/{done['id']}/revert").status == 202
    work_off()
    assert contacts(campaign)[0].full_name == "Old"


def test_given_a_file_that_is_uploaded_already_then_it_is_imported_by_its_id(boss: Api, campaign: str) -> None:
    content = table(("Ann", ANN, "", ""))
    file = upload(boss, content, purpose="campaign_data", content_type="text/csv", file_name="c.csv")
    body = {"fileId": file["id"], "mapping": {"email": 2, "full_name": "Name", "attributes": []}}
    asked = boss.post(f"/campaigns/{campaign}/data", body)
    assert asked.status == 202, asked
    assert (asked.header("location") or "").endswith(f"/campaigns/{campaign}/data/status?upload={asked.json()['id']}")
    work_off()
    assert counts(status(boss, campaign)) == (1, 0, 0, 0, 1)
    assert tuple(contacts(campaign)[0])[:4] == ("Ann", ANN, None, {})


def test_given_a_file_that_is_on_its_way_then_it_is_imported_when_it_has_come(boss: Api, campaign: str) -> None:
    content = table(("Ann", ANN, "", ""))
    form = presign(boss, content, purpose="campaign_data", content_type="text/csv", file_name="c.csv").json()
    assert boss.post(f"/campaigns/{campaign}/data", {"file_id": form["file_id"]}).status == 202
    work_off()
    assert status(boss, campaign)["status"] == "uploaded"
    version = send_form(form, content)
    # WHEN it is announced three times, and with a test event between
    for _ in range(3):
        assert process(announced(form["file_id"], version)) == []
    work_off()
    assert counts(status(boss, campaign)) == (1, 0, 0, 0, 1)


def test_given_a_file_that_is_none_then_the_import_fails_with_the_reason(boss: Api, campaign: str) -> None:
    asked = send(boss, campaign, b"%PDF-1.7 is no table", content_type="text/csv")
    assert asked.status == 202
    process(announced(asked.json()["file_id"]))
    state = status(boss, campaign)
    assert (state["status"], "PDF" in state["reason"]) == ("failed", True)
    # AND it is an event, as any other end is
    kind, data = recorded(state["id"])[-1]
    assert (kind, data["campaign_id"], data["rows_total"]) == ("campaign_upload.failed", campaign, 0)
    assert mailed(state["id"]) == ["campaign_upload.failed"]
    # AND the uploader has one email of it, that about the file
    event = execute("SELECT id, scope FROM events WHERE subject_id = %(id)s ORDER BY id DESC LIMIT 1", id=state["id"])
    assert event[0].scope == f"campaign:{campaign}"
    delivered = {"event_id": str(event[0].id), "destination": "email"}
    assert invoke("email_sender", sqs_event("email", [delivered])) == {"batchItemFailures": []}
    sent = execute("SELECT error FROM deliveries WHERE event_id = %(id)s AND destination = 'email'", id=event[0].id)
    assert sent[0].error == "The email about the file says it."


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"Name,E-mail\n", "a header and no rows"),
        (b"Name,City\nAnn,Paris\n", "No column has email addresses"),
        (b",".join(b"c%d" % n for n in range(10_000)) + b"\n" + b"x," * 9_999 + b"x\n", "10,000 columns"),
    ],
)
def test_given_a_table_without_contacts_then_the_reason_says_so(
    boss: Api, campaign: str, content: bytes, reason: str
) -> None:
    state = imported(boss, campaign, content)
    assert state["status"] == "failed"
    assert reason in state["reason"]
    assert mailed(state["id"]) == ["campaign_upload.failed"]


def workbook(**sheets: list[list[str]]) -> bytes:
    """An Excel workbook."""
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    for name, rows in sheets.items():
        page = book.add_worksheet(name)
        for at, row in enumerate(rows):
            page.write_row(at, 0, row)
    book.close()
    return file.getvalue()


def test_given_a_cover_sheet_then_the_first_sheet_with_contacts_is_imported(
    boss: Api, campaign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", 1)
    content = workbook(
        Cover=[["Our customers", ""], ["Author", "Ann"]],
        Kunden=[["Wer", "E-Mail privat"], ["Ann", ANN], ["Bob", BOB]],
        Old=[["Email"], ["cat@example.com"]],
    )
    # WHEN each message has time for one chunk
    asked = send(boss, campaign, content, content_type=XLSX, mapping='{"full_name": "Wer"}')
    process(announced(asked.json()["file_id"]))
    received("campaigns")
    work_on(UUID(asked.json()["id"]), lambda: False)
    work_off()
    # THEN all of them read the same sheet, and it says which
    state = status(boss, campaign)
    assert (counts(state), state["table_format"]) == ((2, 0, 0, 0, 2), {"kind": "xlsx", "sheet": "Kunden"})
    assert [contact.full_name for contact in contacts(campaign)] == ["Ann", "Bob"]
    assert boss.get(f"/campaigns/{campaign}/data/preview").json()["table_format"]["sheet"] == "Kunden"


def test_given_no_sheet_with_contacts_then_the_reason_names_the_one_that_was_read(boss: Api, campaign: str) -> None:
    content = workbook(Empty=[], Cover=[["Our customers", ""], ["Author", "Ann"]], Notes=[["A", "B"], ["x", "y"]])
    state = imported(boss, campaign, content, content_type=XLSX)
    assert (state["status"], "Read was the sheet 'Cover'." in state["reason"]) == ("failed", True)


def test_given_wild_rows_then_the_good_ones_are_imported(boss: Api, campaign: str) -> None:
    content = (
        b"\xef\xbb\xbfEmail;Email;Name\r\n"
        b"a1@example.com;x;ragged\n"
        b"a2@example.com\r"
        b"a3@example.com;x;y;too;many\n"
        b'a4@example.com;x;"two\nlines"\n'
        b"a5@example.com;x;nul\0here\n"
        b'a6@example.com;x;"unbalanced\n'
        b"a7@example.com;x;" + b"long" * 300_000 + b"\n"
        b"a8@example.com;x;last\n"
    )
    done = imported(boss, campaign, content)
    assert done["reason"] is None
    assert [contact.email for contact in contacts(campaign)] == [f"a{n}@example.com" for n in (1, 2, 4, 8)]
    assert counts(done) == (4, 0, 0, 4, 8)
    assert [error["line"] for error in done["errors"]] == [4, 7, 8, 9]
    failed_rows(boss, campaign, done["id"])


def test_given_a_preview_then_it_shows_what_an_import_would_make_of_the_file(boss: Api, campaign: str) -> None:
    asked = send(boss, campaign, table(("Ann", ANN, "", "Paris")), dry_run=True)
    process(announced(asked.json()["file_id"]))
    shown = boss.get(f"/campaigns/{campaign}/data/preview")
    assert shown.status == 200, shown
    assert shown.json()["columns"] == [
        {"name": "Name", "field": "full_name"},
        {"name": "E-mail", "field": "email"},
        {"name": "Phone", "field": "phone"},
        {"name": "City", "field": None},
    ]
    assert shown.json()["rows"] == [["Ann", ANN, "", "Paris"]]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"on_duplicate": "merge"}, "/on_duplicate"),
        ({"mapping": '{"mail": 1}'}, "/mapping/mail"),
        ({"mapping": "{"}, "/mapping"),
        ({"mapping": '{"email": "E-mail", "phone": "e-mail"}'}, "/mapping/phone"),
        ({"mapping": '{"email": 2, "full_name": 2}'}, "/mapping/full_name"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_given_a_bad_form_then_it_names_the_field(
    boss: Api, campaign: str, fields: dict[str, Any], pointer: str
) -> None:
    answer = send(boss, campaign, table(("Ann", ANN, "", "")), **fields)
    assert pointer in json.dumps(problem(answer, 400)["errors"])
    problem(boss.get(f"/campaigns/{campaign}/data/status"), 404)


def test_given_a_bare_file_then_the_problem_says_how_to_send_it(boss: Api, campaign: str) -> None:
    path, headers = f"/campaigns/{campaign}/data", {"content-type": "text/csv"}
    answer = boss.request("POST", path, body=table(("Ann", ANN, "", "")), headers=headers)
    assert "multipart/form-data" in problem(answer, 400)["detail"]


def test_given_more_than_the_gateway_takes_then_the_answer_names_the_way(boss: Api, campaign: str) -> None:
    answer = send(boss, campaign, b"x" * (4 * 1024 * 1024 + 1))
    assert "presign-upload?purpose=campaign_data" in problem(answer, 413)["next"]["href"]


def test_given_a_file_of_another_purpose_then_the_answer_names_the_way(boss: Api, campaign: str) -> None:
    file = upload(boss, table(("Ann", ANN, "", "")), content_type="text/csv")
    refused = problem(boss.post(f"/campaigns/{campaign}/data", {"file_id": file["id"]}), 400)
    assert [error["pointer"] for error in refused["errors"]] == ["/file_id"]
    assert refused["next"]["href"] == "/api/v1/files/presign-upload?purpose=campaign_data"


def test_given_somebody_elses_file_then_it_is_not_imported(boss: Api, campaign: str, user: Api) -> None:
    file = upload(user, table(("Ann", ANN, "", "")), purpose="campaign_data", content_type="text/csv")
    problem(boss.post(f"/campaigns/{campaign}/data", {"file_id": file["id"]}), 400)


def test_given_an_idempotency_key_then_a_repeat_is_the_same_import(boss: Api, campaign: str) -> None:
    file = upload(boss, table(("Ann", ANN, "", "")), purpose="campaign_data", content_type="text/csv")
    first, second = (
        boss.post(f"/campaigns/{campaign}/data", {"file_id": file["id"]}, headers={"idempotency-key": "k1"})
        for _ in range(2)
    )
    assert first.json() == second.json()
    assert len(boss.get(f"/campaigns/{campaign}/data").json()["items"]) == 1


def test_given_imports_then_reading_them_is_two_statements_of_the_documented_model(boss: Api, campaign: str) -> None:
    imported(boss, campaign, table(("Ann", ANN, "", ""), ("", "x", "", "")))
    for path, model in (("", Page[UploadRead]), ("/status", ImportStatus)):
        boss.get(f"/campaigns/{campaign}/data{path}")
        with counted() as statements:
            answer = boss.get(f"/campaigns/{campaign}/data{path}")
        assert len(statements) == 2, statements
        assert json.loads(model.model_validate(answer.json()).model_dump_json()) == answer.json()


def test_given_contacts_from_imports_then_the_tallies_count_them(boss: Api, campaign: str) -> None:
    imported(boss, campaign, table(*[(f"P{n}", f"p{n}@example.com", "", "") for n in range(7)]))
    tallies = execute(
        "SELECT status, sum(n) AS n FROM contact_tallies WHERE campaign_id = %(id)s GROUP BY 1", id=UUID(campaign)
    )
    assert Counter({row.status: int(row.n) for row in tallies}) == {"new": 7}
