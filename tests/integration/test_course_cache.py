"""The public list of courses: what is kept, for whom, for how long; by a clock that is moved."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from functions.courses.courses import cache
from functions.courses.courses.cache import MAX_AGE, Cache
from infra.local.events import Response
from tests.support.api import Api
from tests.support.courses import course
from tests.support.people import person
from tests.support.projects import ids
from tests.support.statements import counted

ORIGIN = {"origin": "https://app.example.com"}


class Clock:
    """What `cache` takes for the time."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands still, and a sandbox that has kept nothing."""
    clock = Clock()
    monkeypatch.setattr(cache, "time", clock)
    monkeypatch.setattr(cache, "public", Cache(max_bytes=1_000_000))
    return clock


@pytest.fixture
def owner(stack: object) -> Api:
    """Somebody who may create courses."""
    return person("instructor")


def read(owner: Api, statements: int, caller: Api | None = None, headers: dict[str, str] | None = None) -> Response:
    """The owner's courses as nobody in particular sees them, by so many statements."""
    with counted() as sent:
        answer = (caller or Api()).get("/courses", query=f"created_by={owner.id}", headers=headers)
    assert len(sent) == statements, sent
    return answer


def left(answer: Response) -> int:
    """Seconds for which the answer is fresh, as its one header says that reaches everybody who may keep it."""
    assert answer.header("age") is None
    directives = (answer.header("cache-control") or "").split(", ")
    assert {"public", "stale-while-revalidate=30", "stale-if-error=0"} < {*directives}
    [seconds] = [int(each.removeprefix("max-age=")) for each in directives if each.startswith("max-age=")]
    return seconds


def test_given_a_list_when_asked_again_then_no_statement_is_sent_and_what_is_left_is_told(
    owner: Api, clock: Clock
) -> None:
    path = course(owner)
    first = read(owner, 1)
    assert left(first) == 30
    clock.now += 12.2
    again = read(owner, 0)
    assert (again.body, again.header("etag")) == (first.body, first.header("etag"))
    assert left(again) == 17
    assert [f"/courses/{id}" for id in ids(again)] == [path]
    # THEN who has it already gets nothing, by no statement either.
    tag = first.header("etag") or ""
    for known in (tag, f'"other", W/{tag}', "*"):
        unchanged = read(owner, 0, headers={"if-none-match": known})
        assert (unchanged.status, unchanged.body, left(unchanged)) == (304, b"", 17)
        assert unchanged.header("etag") == tag
        assert "Authorization" in (unchanged.header("vary") or "")
    # AND when its time is over and nothing has changed, by one.
    clock.now += MAX_AGE
    renewed = read(owner, 1, headers={"if-none-match": tag})
    assert (renewed.status, left(renewed)) == (304, 30)


def test_given_an_edit_then_the_old_list_is_never_shown_beyond_the_stated_age(owner: Api, clock: Clock) -> None:
    path = course(owner, title="Old")
    clock.now += 0.5
    read(owner, 1)
    # WHEN it is edited at once, THEN whatever is shown of the old one is fresh by its own headers, and no longer
    assert owner.patch(path, {"title": "New"}).status == 200
    edited = clock.now
    seen_old = 0
    for step in range(1, 80):
        clock.now = edited + step / 2
        answer = Api().get("/courses", query=f"created_by={owner.id}")
        if answer.json()["items"][0]["title"] == "Old":
            seen_old += 1
            # A cache that gets it now shows it until its freshness is over.
            assert clock.now + left(answer) <= edited + MAX_AGE
        else:
            assert clock.now - edited > MAX_AGE - 1
    assert seen_old >= 2 * (MAX_AGE - 1)
    assert Api().get("/courses", query=f"created_by={owner.id}").json()["items"][0]["title"] == "New"


def test_given_a_clock_that_is_set_back_then_nothing_is_kept_for_longer(owner: Api, clock: Clock) -> None:
    course(owner)
    read(owner, 1)
    clock.now -= 3600
    read(owner, 1)
    read(owner, 0)


def test_given_somebody_signed_in_then_their_list_is_their_own_and_as_of_now(owner: Api, clock: Clock) -> None:
    course(owner)
    public = read(owner, 1)
    draft = course(owner, status="draft")
    private = read(owner, 2, owner)
    assert private.header("cache-control") == "private, no-cache"
    assert f"/courses/{ids(private)[0]}" == draft
    assert private.header("etag") != public.header("etag")
    tag = private.header("etag") or ""
    assert read(owner, 2, owner, {"if-none-match": tag}).status == 304
    assert len(ids(read(owner, 0))) == 1
    # AND who sends credentials that are none is not shown the public list.
    refused = Api().get("/courses", headers={"authorization": "Bearer x.y.z"})
    assert refused.status == 401
    assert refused.header("cache-control") == "no-store"


@pytest.mark.parametrize("sent", [{}, ORIGIN, {"origin": "https://elsewhere.example"}])
def test_given_any_origin_then_the_answer_says_what_it_depends_on(
    owner: Api, clock: Clock, sent: dict[str, str]
) -> None:
    course(owner)
    read(owner, 1)
    answer = read(owner, 0, headers=sent)
    assert {name.strip() for name in (answer.header("vary") or "").split(",")} == {"Authorization", "Origin"}
    assert answer.header("access-control-allow-origin") == (sent.get("origin") if sent is ORIGIN else None)


def test_given_other_questions_then_their_answers_are_kept_apart(owner: Api, clock: Clock) -> None:
    made = [course(owner, title=title) for title in ("Knots", "Rings", "Fields")]
    base = f"created_by={owner.id}"
    first = Api().get("/courses", query=f"{base}&limit=2").json()
    asked = {
        f"{base}&limit=2": made[:0:-1],
        f"{base}&limit=2&cursor={first['next_cursor']}": made[:1],
        f"{base}&q=rings": made[1:2],
        f"{base}&status=draft": [],
        base: made[::-1],
    }
    for _ in range(2):
        for query, expected in asked.items():
            assert [f"/courses/{id}" for id in ids(Api().get("/courses", query=query))] == expected
    with counted() as statements:
        for query in asked:
            assert Api().get("/courses", query=query).status == 200
    assert statements == []
    # AND what is refused is not kept.
    for _ in range(2):
        assert Api().get("/courses", query=f"{base}&cursor=x").status == 400


def test_given_more_than_it_may_keep_then_what_was_asked_for_longest_ago_goes(clock: Clock) -> None:
    kept, asked = Cache(max_bytes=10_000), []

    def get(key: int, size: int = 1_000) -> int:
        def body() -> bytes:
            asked.append(key)
            return b"x" * size

        return len(kept.get(key, body)[0].body)

    for key in (1, 2, 3, 4, 1, 5, 1, 2):
        get(key)
    assert asked == [1, 2, 3, 4, 5, 2]
    # AND what is larger than all of it is answered, and not kept; nor does it leave its size behind.
    assert get(9, 20_000) == get(9, 20_000) == 20_000
    assert asked[6:] == [9, 9]
    for key in (1, 2, 3, 4):
        get(key)
    assert asked[8:] == [1, 2, 3, 4]
    clock.now += MAX_AGE
    for key in (1, 2, 3, 4):
        get(key)
        get(key)
    assert asked[12:] == [1, 2, 3, 4]


def test_given_many_at_once_then_each_has_a_whole_answer(owner: Api, clock: Clock) -> None:
    course(owner)
    with ThreadPoolExecutor(8) as pool:
        bodies = set(pool.map(lambda _: Api().get("/courses", query=f"created_by={owner.id}").body, range(40)))
    assert len(bodies) == 1
