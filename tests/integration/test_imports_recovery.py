"""Imports that are broken off, repeated, raced, cancelled and undone: in the end every row counts once."""

import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from functions.campaign_processor import importing, merging
from functions.campaign_processor.claims import VanishedRowsError, claim
from functions.campaign_processor.importing import run_import
from functions.campaign_processor.service import work_on
from infra.local.events import schedule_event
from infra.local.invocation import invoke
from quintet import aws
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
from tests.support.statements import execute
from tests.support.uploading import announced, process, received

ROWS = [(f"P{n}", f"p{n % 17}@example.com" if n % 5 else "bad", "", "x") for n in range(20)]
EXPECTED = (14, 0, 2, 4, 20)
"""Of `ROWS`: 16 valid ones with 14 keys."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk is three rows."""
    monkeypatch.setattr(importing, "CHUNK_ROWS", 3)


@pytest.fixture(scope="module")
def boss(stack: object) -> Api:
    """Whose campaigns these are."""
    return person()


@pytest.fixture
def campaign(boss: Api) -> str:
    """A campaign without contacts."""
    return campaign_of(boss)


@pytest.fixture
def upload(boss: Api, campaign: str) -> UUID:
    """An import of `ROWS` that nobody has begun."""
    asked = send(boss, campaign, table(*ROWS))
    process(announced(asked.json()["file_id"]))
    received("campaigns")
    return UUID(asked.json()["id"])


def expire() -> None:
    """As if every lease had run out."""
    execute("UPDATE campaign_uploads SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL")


def whole(boss: Api, campaign: str, upload: UUID) -> None:
    """The import is over, and as if nothing had happened to it."""
    state = status(boss, campaign, str(upload))
    assert (state["status"], counts(state)) == ("processed", EXPECTED)
    assert len(contacts(campaign)) == EXPECTED[0]
    assert [error["line"] for error in state["errors"]] == [n + 2 for n in range(20) if n % 5 == 0]
    assert mailed(str(upload)) == ["campaign_upload.finished"]
    assert execute("SELECT count(*) AS n FROM contact_staging WHERE upload_id = %(id)s", id=upload)[0].n == 0
    kinds = [kind for kind, _ in recorded(str(upload))]
    assert kinds.count("campaign_upload.started") == kinds.count("campaign_upload.finished") == 1


def test_given_no_time_then_each_message_does_a_chunk_and_asks_for_the_next(
    boss: Api, campaign: str, upload: UUID
) -> None:
    messages = 0
    work_on(upload, lambda: False)
    while received("campaigns"):
        messages += 1
        work_on(upload, lambda: False)
    assert messages == 7
    whole(boss, campaign, upload)


@pytest.mark.parametrize("at", range(8))
@pytest.mark.usefixtures("nothing_due")
def test_given_a_crash_between_two_chunks_then_the_next_run_goes_on(
    boss: Api, campaign: str, upload: UUID, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a process that dies with its `at`th chunk staged and not merged
    class Died(BaseException):
        pass

    def dying(claimed: Any, chunk: Any) -> None:
        if chunk.number == at:
            raise Died
        merging.merge(claimed, chunk)

    with monkeypatch.context() as patch:
        patch.setattr(importing, "merge", dying)
        if at < 7:
            with pytest.raises(Died):
                work_on(upload, lambda: True)
            assert execute("SELECT chunk FROM campaign_uploads WHERE id = %(id)s", id=upload)[0].chunk == at
        else:
            work_on(upload, lambda: True)
    # WHEN its lease has run out, and the dispatcher looks
    expire()
    invoke("event_dispatcher", schedule_event("event_dispatcher"))
    work_off()
    # THEN
    whole(boss, campaign, upload)


def test_given_a_lease_then_nobody_else_begins(boss: Api, campaign: str, upload: UUID) -> None:
    assert claim(upload) is not None
    assert claim(upload) is None
    work_on(upload, lambda: True)
    assert status(boss, campaign)["rows_total"] == 0


def test_given_a_process_thought_dead_when_it_wakes_then_it_changes_nothing(
    boss: Api, campaign: str, upload: UUID
) -> None:
    sleeper = claim(upload)
    assert sleeper is not None
    expire()
    work_on(upload, lambda: True)
    whole(boss, campaign, upload)
    assert run_import(sleeper, lambda: True)
    whole(boss, campaign, upload)


def test_given_two_processes_at_once_then_each_chunk_is_merged_by_one(boss: Api, campaign: str, upload: UUID) -> None:
    first = claim(upload)
    expire()
    second = claim(upload)
    assert first is not None
    assert second is not None
    threads = [threading.Thread(target=run_import, args=(run, lambda: True)) for run in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole(boss, campaign, upload)


def test_given_a_database_that_lost_its_unlogged_rows_then_they_are_read_again(
    boss: Api, campaign: str, upload: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losing(chunk: Any) -> None:
        merging.stage(chunk)
        if chunk.number == 3:
            execute("DELETE FROM contact_staging")

    with monkeypatch.context() as patch:
        patch.setattr(importing, "stage", losing)
        with pytest.raises(VanishedRowsError):
            work_on(upload, lambda: True)
    # WHEN it is tried again, a little later
    work_on(upload, lambda: True)
    assert status(boss, campaign)["status"] == "processing"
    expire()
    work_on(upload, lambda: True)
    whole(boss, campaign, upload)


def test_given_large_rows_then_chunks_have_fewer(
    boss: Api, campaign: str, upload: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", 20_000)
    monkeypatch.setattr(importing, "_BLOCK_ROWS", 2)
    monkeypatch.setattr(importing, "CHUNK_BYTES", 200)
    work_on(upload, lambda: False)
    [state] = execute("SELECT chunk, rows_total FROM campaign_uploads WHERE id = %(id)s", id=upload)
    assert (state.chunk, state.rows_total) == (1, 2)
    work_off()
    whole(boss, campaign, upload)


@pytest.mark.usefixtures("nothing_due")
def test_given_a_file_that_is_deleted_then_its_import_fails_and_an_earlier_one_can_be_undone(
    boss: Api, campaign: str, upload: UUID
) -> None:
    # GIVEN one import that is over and one that nobody has begun
    work_on(upload, lambda: True)
    other = send(boss, campaign, table(("New", "new@example.com", "", ""))).json()
    process(announced(other["file_id"]))
    received("campaigns")
    # WHEN both their files are deleted
    [first] = execute("SELECT file_id FROM campaign_uploads WHERE id = %(id)s", id=upload)
    for file in (str(first.file_id), other["file_id"]):
        assert boss.delete(f"/files/{file}").status == 204
    execute("UPDATE campaign_uploads SET updated_at = now() - interval '2 minutes' WHERE id = %(id)s", id=other["id"])
    invoke("event_dispatcher", schedule_event("event_dispatcher"))
    work_off()
    # THEN
    state = status(boss, campaign)
    assert (state["id"], state["status"], "deleted" in state["reason"]) == (other["id"], "failed", True)
    assert boss.post(f"/campaigns/{campaign}/data/{upload}/revert").status == 202
    work_off()
    assert contacts(campaign) == []


def test_given_an_object_that_is_gone_then_the_import_fails_with_that_reason(
    boss: Api, campaign: str, upload: UUID
) -> None:
    [file] = execute(
        "SELECT f.bucket, f.key, f.version_id FROM files f JOIN campaign_uploads u ON u.file_id = f.id "
        "WHERE u.id = %(id)s",
        id=upload,
    )
    aws.s3().delete_object(Bucket=file.bucket, Key=file.key, VersionId=file.version_id)
    work_on(upload, lambda: True)
    assert "deleted" in status(boss, campaign)["reason"]


def test_given_an_import_and_another_to_be_undone_then_they_take_turns(boss: Api, campaign: str, upload: UUID) -> None:
    # GIVEN an import that is over, and one of the same contacts that is asked for
    work_on(upload, lambda: True)
    later = send(boss, campaign, table(("New", "p1@example.com", "", "")), on_duplicate="update").json()
    process(announced(later["file_id"]))
    received("campaigns")
    # THEN the first is not undone before that is over
    assert "under way" in problem(boss.post(f"/campaigns/{campaign}/data/{upload}/revert"), 409)["detail"]
    # WHEN it is undone nevertheless THEN the other waits
    execute("UPDATE campaign_uploads SET status = 'reverting' WHERE id = %(id)s", id=upload)
    assert claim(UUID(later["id"])) is None
    work_on(upload, lambda: True)
    # AND goes on as soon as that is done
    assert work_off() == [{"upload_id": later["id"]}]
    assert counts(status(boss, campaign, later["id"])) == (1, 0, 0, 0, 1)
    assert [contact.full_name for contact in contacts(campaign)] == ["New"]


def test_given_a_dry_run_whose_rows_were_lost_then_it_begins_again(boss: Api, campaign: str) -> None:
    asked = send(boss, campaign, table(*ROWS), dry_run=True).json()
    process(announced(asked["file_id"]))
    received("campaigns")
    work_on(UUID(asked["id"]), lambda: False)
    execute("DELETE FROM contact_staging")
    work_off()
    state = status(boss, campaign, asked["id"])
    assert (state["status"], counts(state), contacts(campaign)) == ("processed", EXPECTED, [])


def test_given_a_message_that_comes_again_then_nothing_changes(boss: Api, campaign: str, upload: UUID) -> None:
    for _ in range(3):
        work_on(upload, lambda: True)
    whole(boss, campaign, upload)


# --- cancelling ------------------------------------------------------------------------------------------


def test_given_an_import_under_way_when_cancelled_then_what_is_done_stays_and_can_be_undone(
    boss: Api, campaign: str, upload: UUID
) -> None:
    work_on(upload, lambda: False)
    path = f"/campaigns/{campaign}/data/{upload}"
    assert boss.post(f"{path}/cancel").json()["status"] == "cancelled"
    assert boss.post(f"{path}/cancel").status == 200
    work_off()
    assert len(contacts(campaign)) == 2
    assert boss.post(f"{path}/revert").json()["status"] == "reverting"
    work_off()
    assert (status(boss, campaign)["status"], contacts(campaign)) == ("reverted", [])


@pytest.mark.parametrize("dry_run", [True, False])
def test_given_a_cancelled_import_then_its_failed_rows_are_listed_all_the_same(
    boss: Api, campaign: str, upload: UUID, dry_run: bool
) -> None:
    execute("UPDATE campaign_uploads SET dry_run = %(dry)s WHERE id = %(id)s", dry=dry_run, id=upload)
    work_on(upload, lambda: False)
    path = f"/campaigns/{campaign}/data/{upload}"
    assert boss.post(f"{path}/cancel").json()["rows_invalid"] == 1
    assert "not written yet" in problem(boss.get(f"{path}/failed-rows"), 404)["detail"]
    work_off()
    listed = failed_rows(boss, campaign, str(upload))
    assert (listed[0], [row[2] for row in listed[1:]]) == (
        ["Line", "Reason", "Name", "E-mail", "Phone", "City"],
        ["P0"],
    )
    # AND a list that is deleted is not "every row was taken"
    execute("UPDATE campaign_uploads SET failed_rows_file = NULL WHERE id = %(id)s", id=upload)
    assert "deleted" in problem(boss.get(f"{path}/failed-rows"), 404)["detail"]


def test_given_an_import_that_is_over_then_it_cannot_be_cancelled(boss: Api, campaign: str, upload: UUID) -> None:
    work_on(upload, lambda: True)
    assert "processed" in problem(boss.post(f"/campaigns/{campaign}/data/{upload}/cancel"), 409)["detail"]


def test_given_a_cancel_between_two_chunks_then_no_chunk_comes_after_it(
    boss: Api, campaign: str, upload: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancelling(chunk: Any) -> None:
        merging.stage(chunk)
        if chunk.number == 2:
            assert boss.post(f"/campaigns/{campaign}/data/{upload}/cancel").status == 200

    monkeypatch.setattr(importing, "stage", cancelling)
    work_on(upload, lambda: True)
    state = status(boss, campaign)
    assert (state["status"], state["rows_total"]) in (("cancelled", 3), ("cancelled", 6))
    assert mailed(str(upload)) == []


# --- undoing ---------------------------------------------------------------------------------------------


def rows_of(campaign: str) -> list[tuple[Any, ...]]:
    """What a person sees of the contacts."""
    return [tuple(contact)[:4] for contact in contacts(campaign)]


@pytest.mark.parametrize("policy", ["skip", "update"])
def test_given_an_import_when_undone_then_the_contacts_are_as_before(boss: Api, campaign: str, policy: str) -> None:
    imported(boss, campaign, table(*[(f"Old{n}", f"p{n}@example.com", "", "y") for n in range(0, 20, 3)]))
    before = rows_of(campaign)
    done = imported(boss, campaign, table(*ROWS), on_duplicate=policy)
    assert rows_of(campaign) != before
    assert boss.post(f"/campaigns/{campaign}/data/{done['id']}/revert").status == 202
    work_off()
    assert (status(boss, campaign)["status"], rows_of(campaign)) == ("reverted", before)
    # AND again is no harm
    assert boss.post(f"/campaigns/{campaign}/data/{done['id']}/revert").status == 202
    work_off()
    assert rows_of(campaign) == before


def test_given_somebody_has_worked_on_its_contacts_then_nothing_is_undone(
    boss: Api, campaign: str, upload: UUID
) -> None:
    work_on(upload, lambda: True)
    contact = boss.get(f"/campaigns/{campaign}/contacts").json()["items"][0]["id"]
    assert boss.post(f"/contacts/{contact}/activities", {"outcome": "contacted"}).status == 201
    before = rows_of(campaign)
    answer = problem(boss.post(f"/campaigns/{campaign}/data/{upload}/revert"), 409)
    assert answer["detail"].startswith("1 of its contacts")
    work_off()
    assert rows_of(campaign) == before


def test_given_a_later_import_that_changed_its_contacts_then_it_is_not_undone_before_that(
    boss: Api, campaign: str, upload: UUID
) -> None:
    work_on(upload, lambda: True)
    later = [
        imported(boss, campaign, table((name, "p1@example.com", "", "")), on_duplicate="update")["id"]
        for name in ("New", "Newer")
    ]
    answer = problem(boss.post(f"/campaigns/{campaign}/data/{upload}/revert"), 409)
    assert answer["detail"].startswith("1 of its contacts have been changed by a later import")
    assert answer["next"]["href"].endswith(f"/campaigns/{campaign}/data/{later[1]}/revert")
    for id in (*reversed(later), upload):
        assert boss.post(f"/campaigns/{campaign}/data/{id}/revert").status == 202
        work_off()
    assert contacts(campaign) == []


def test_given_an_import_being_undone_then_nobody_works_on_its_contacts(boss: Api, campaign: str, upload: UUID) -> None:
    work_on(upload, lambda: True)
    contact = boss.get(f"/campaigns/{campaign}/contacts").json()["items"][0]["id"]
    assert boss.post(f"/campaigns/{campaign}/data/{upload}/revert").status == 202
    problem(boss.post(f"/contacts/{contact}/activities", {"outcome": "contacted"}), 409)
    work_off()
    assert contacts(campaign) == []


# --- at once ---------------------------------------------------------------------------------------------


def test_given_imports_and_agents_at_once_then_nobody_waits_in_a_circle_and_all_is_counted(
    boss: Api, campaign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", 40)
    imported(boss, campaign, table(*[(f"Old{n}", f"p{n}@example.com", "", "y") for n in range(60)]))
    ids = [item["id"] for item in boss.get(f"/campaigns/{campaign}/contacts").json()["items"]]
    files = [[(f"{who}{n}", f"p{n * step % 300}@example.com", "", who) for n in range(300)] for who, step in ABC]
    uploads = []
    for rows in files:
        asked = send(boss, campaign, table(*rows), on_duplicate="update").json()
        process(announced(asked["file_id"]))
        uploads.append(UUID(asked["id"]))
    received("campaigns")
    answers: list[int] = []

    def agents() -> None:
        for id in ids:
            answers.append(boss.post(f"/contacts/{id}/activities", {"outcome": "contacted", "duration": 3}).status)
            answers.append(boss.patch(f"/contacts/{id}", {"full_name": "Changed"}).status)

    threads = [threading.Thread(target=work_on, args=(id, lambda: True)) for id in uploads]
    threads += [threading.Thread(target=agents) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # THEN every request was served
    assert set(answers) == {200, 201}
    # AND each import is whole
    states = [status(boss, campaign, str(id)) for id in uploads]
    assert [(state["status"], sum(counts(state)[:4])) for state in states] == [("processed", 300)] * 3
    assert sum(state["rows_created"] for state in states) == 300 - 60
    # AND what is counted is what is there
    tallies = execute("SELECT sum(n) AS n FROM contact_tallies WHERE campaign_id = %(id)s", id=UUID(campaign))
    assert tallies[0].n == len(contacts(campaign)) == 300


ABC = (("a", 7), ("b", 11), ("c", 13))


@pytest.fixture(autouse=True)
def quiet(stack: object) -> Iterator[None]:
    """No import is left for others to be sent."""
    yield
    execute("UPDATE campaign_uploads SET status = 'cancelled' WHERE status IN ('uploaded', 'processing', 'reverting')")
