"""ETag, If-None-Match and If-Match (RFC 9110)."""

import threading
from collections.abc import Callable

import pytest

from tests.support.api import Api
from tests.support.expect import pointers, problem


@pytest.mark.parametrize(
    ("known", "status"),
    [
        ('"1"', 304),
        ('W/"1"', 304),
        ("*", 304),
        ('"7", "1"', 304),
        ('"7" , W/"1"', 304),
        ('"2"', 200),
        ("1", 200),
        ('"', 200),
        ("", 200),
    ],
)
def test_given_if_none_match_then_304_when_the_version_is_known(
    owner: Api, project: str, known: str, status: int
) -> None:
    answer = owner.get(project, headers={"if-none-match": known})
    assert answer.status == status
    assert answer.header("etag") == '"1"'
    assert answer.header("cache-control") == "private, no-cache"
    assert (answer.body == b"") is (status == 304)


@pytest.mark.parametrize(
    ("named", "status"),
    [
        ('"1"', 200),
        ("*", 200),
        ('"7", "1"', 200),
        ('"2"', 412),
        ('W/"1"', 412),  # If-Match compares strongly (RFC 9110, 13.1.1)
        ("1", 400),
        ('"1', 400),
        ('"', 400),
        ("", 400),
        ('"1", ', 400),
    ],
)
def test_given_if_match_then_the_change_is_made_only_to_that_version(
    owner: Api, project: str, named: str, status: int
) -> None:
    answer = owner.patch(project, {"title": "Changed"}, headers={"if-match": named})
    assert answer.status == status
    if status == 400:
        assert pointers(answer) == ["header/if-match"]
    if status != 200:
        problem(answer, status)
    assert owner.get(project).json()["title"] == ("Changed" if status == 200 else "A project")
    if status == 412:
        assert owner.delete(project, headers={"if-match": named}).status == 412
        assert owner.get(project).json()["archived_at"] is None


def test_given_two_changes_of_one_version_when_they_race_then_one_of_them_is_412(owner: Api, project: str) -> None:
    start, statuses = threading.Barrier(4), []

    def change(n: int) -> None:
        start.wait()
        statuses.append(owner.patch(project, {"title": f"T{n}"}, headers={"if-match": '"1"'}).status)

    _in_threads(change, 4)
    assert sorted(statuses) == [200, 412, 412, 412]
    assert owner.get(project).json()["version"] == 2


def _in_threads(work: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
