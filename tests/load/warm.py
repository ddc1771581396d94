"""Warm functions: event in, answer out."""

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any
from uuid import UUID

from infra.local.events import rest_event
from tests.load import tallies
from tests.load.deployed import Runtime
from tests.load.measure import interleaved
from tests.load.stand import PASSWORD, Person, Stand
from tests.load.twin import twin

_BATCH = 40
"""Requests per round."""
_SIGN_INS = 10
"""Sign-ins per round."""
_ADDRESSES = itertools.count()
"""Whom a request comes from."""


def lists(runtime: Runtime, stand: Stand, *, rounds: int) -> dict[str, float]:
    """Seconds of a list of 50 projects: by us (`ours`), its statements alone (`bare`), by Express (`twin`)."""
    owner = stand.people()[1]
    stand.add_projects(owner, 60)  # 54 of them are not archived

    def events() -> list[Any]:
        return _requests(owner, "/api/v1/projects", _BATCH)

    with runtime.worker("projects", stand.environment) as ours, twin(stand.environment) as theirs:
        ours.ask(do="events", events=events())  # with what only a first request asks the database
        listed = _body(ours.ask(do="record", event=events()[0]))
        assert len(listed["items"]) == 50, listed
        assert listed["next_cursor"], listed
        assert _body(theirs.ask(events=events()[:1])) == _in_milliseconds(listed), "The twin answers something else."
        for _ in range(10):  # V8 compiles what has run often
            theirs.ask(events=events())
        return interleaved(
            rounds,
            ours=lambda: float(ours.ask(do="events", events=events())["seconds"]) / _BATCH,
            bare=lambda: float(ours.ask(do="replay", times=_BATCH)["seconds"]) / _BATCH,
            twin=lambda: float(theirs.ask(events=events())["seconds"]) / _BATCH,
        )


def course_lists(runtime: Runtime, stand: Stand, *, rounds: int) -> dict[str, float]:
    """Seconds of a list of 50 courses: signed in (`own`), its statements alone (`bare`), and kept (`public`)."""
    owner, reader = stand.people()[5:7]
    stand.add_courses(owner, 60)

    with runtime.worker("courses", stand.environment) as worker:
        own = _requests(reader, "/api/v1/courses", _BATCH)
        public = [rest_event("GET", "/api/v1/courses", headers={"accept": "application/json", "user-agent": "bench"})]
        worker.ask(do="events", events=own)  # with what only a first request asks the database
        listed = _body(worker.ask(do="events", events=public))
        assert listed["items"] == _body(worker.ask(do="record", event=own[0]))["items"], listed
        assert len(listed["items"]) == 50, listed
        return interleaved(
            rounds,
            own=lambda: float(worker.ask(do="events", events=own)["seconds"]) / _BATCH,
            bare=lambda: float(worker.ask(do="replay", times=_BATCH)["seconds"]) / _BATCH,
            public=lambda: float(worker.ask(do="events", events=public * _BATCH)["seconds"]) / _BATCH,
        )


def sign_ins(runtime: Runtime, stand: Stand, *, rounds: int) -> dict[str, float]:
    """Seconds of a sign-in (`ours`), and of the argon2 verification in it (`argon2`)."""
    with stand.owner() as connection:
        row = connection.execute("SELECT password_hash FROM users LIMIT 1").fetchone()
    assert row is not None
    emails = itertools.cycle([person.email for person in stand.people()])
    attempts = _posts("/auth/login", ({"email": email, "password": PASSWORD} for email in emails))

    with runtime.worker("auth", stand.environment) as auth:

        def sign_in() -> float:
            reply = auth.ask(do="events", events=list(itertools.islice(attempts, _SIGN_INS)))
            assert _body(reply)["access_token"], reply
            return float(reply["seconds"]) / _SIGN_INS

        def verify() -> float:
            reply = auth.ask(do="verify", times=_SIGN_INS, password=PASSWORD, hash=row[0])
            return float(reply["seconds"]) / _SIGN_INS

        return interleaved(rounds, ours=sign_in, argon2=verify)


def refusals(runtime: Runtime, stand: Stand, *, tries: int) -> dict[str, dict[str, float]]:
    """Seconds of what must not tell whether there is an account, by work and by address."""
    known = [person.email for person in stand.people()]
    unknown = [f"nobody{number}@example.com" for number in range(len(known))]

    with runtime.worker("auth", stand.environment) as auth:

        def compared(path: str, more: Mapping[str, str], status: int) -> dict[str, float]:
            def seconds(emails: Iterable[str]) -> Callable[[], float]:
                events = _posts(path, ({"email": email, **more} for email in itertools.cycle(emails)))

                def one() -> float:
                    reply = auth.ask(do="events", events=[next(events)])
                    assert reply["answer"]["statusCode"] == status, reply
                    return float(reply["seconds"])

                return one

            return interleaved(tries, known=seconds(known), unknown=seconds(unknown))

        return {
            "failed sign-in": compared("/auth/login", {"password": "not the password of anybody 9"}, 401),
            "password reset": compared("/auth/password-reset", {}, 202),
        }


def reports(runtime: Runtime, stand: Stand, *, rounds: int) -> dict[str, float]:
    """Seconds of a campaign's report on `tallies`, event to answer (`ours`), and of its SQL alone (`sql`)."""
    owner = stand.people()[3]
    with stand.owner() as connection:
        made = (
            "INSERT INTO agents (name, email) SELECT 'Agent ' || n, n || '@example.com' FROM generate_series(1, %s) n"
        )
        agents = [row[0] for row in connection.execute(f"{made} RETURNING id", [tallies.AGENTS])]
        made = "INSERT INTO campaigns (name, created_by) VALUES ('Reported', %s) RETURNING id"
        [[campaign]] = connection.execute(made, [owner.id]).fetchall()
        tallies.fill(connection, campaign, agents)
    with runtime.worker("reports", stand.environment) as worker:
        events = _requests(owner, f"/api/v1/reports/campaigns/{campaign}", 1)
        assert _body(worker.ask(do="record", event=events[0]))["contacts"]["total"] > 1_000_000
        return interleaved(
            rounds,
            ours=lambda: float(worker.ask(do="events", events=events)["seconds"]),
            sql=lambda: float(worker.ask(do="replay", times=1)["seconds"]),
        )


def round_trips(runtime: Runtime, stand: Stand) -> int:
    """How often the read of one project makes the database answer."""
    owner = stand.people()[2]
    stand.add_projects(owner, 1)
    with stand.owner() as connection:
        row = connection.execute("SELECT id FROM projects WHERE owner_id = %s", [owner.id]).fetchone()
    assert row is not None
    first, second = _requests(owner, f"/api/v1/projects/{row[0]}", 2)
    with runtime.worker("projects", stand.environment) as worker:
        worker.ask(do="record", event=first)  # and with it the keys and the connection
        reply = worker.ask(do="round_trips", event=second)
        assert _body(reply)["owner_id"] == str(owner.id), reply
        return int(reply["round_trips"])


def pages(runtime: Runtime, small: Stand, large: Stand, *, rounds: int) -> dict[str, float]:
    """Seconds of a page of 50 projects in the `small` and the `large` database, of two members each.

    `_middle`: a page from the middle of the list of somebody who owns nearly all the rows. `_old`: the first page
    of somebody who owns a few, all older than everybody else's.
    """
    with ExitStack() as stack:

        def pages_of(stand: Stand) -> tuple[Callable[[], float], Callable[[], float]]:
            worker = stack.enter_context(runtime.worker("projects", stand.environment))
            _, _, _, many, few, *_ = stand.people()
            query = {"cursor": _middle(stand, many)}

            def page(owner: Person, query: dict[str, str]) -> float:
                reply = worker.ask(do="events", events=_requests(owner, "/api/v1/projects", _BATCH, query))
                assert len(_body(reply)["items"]) == 50, reply
                return float(reply["seconds"]) / _BATCH

            return partial(page, many, query), partial(page, few, {})

        small_middle, small_old = pages_of(small)
        large_middle, large_old = pages_of(large)
        return interleaved(
            rounds, small_middle=small_middle, large_middle=large_middle, small_old=small_old, large_old=large_old
        )


def _requests(person: Person, path: str, count: int, query: dict[str, str] | None = None) -> list[Any]:
    """So many events of this GET by this person."""
    headers = {"authorization": f"Bearer {person.token()}", "accept": "application/json", "user-agent": "bench"}
    event = rest_event("GET", path, headers=headers, query=(query or {}).items())
    return [event] * count


def _body(reply: Any) -> Any:
    """The JSON of the last answer, which is to be a 200."""
    answer = reply["answer"]
    assert answer["statusCode"] == 200, answer
    return json.loads(answer["body"])


def _in_milliseconds(listed: Any) -> Any:
    """The list with its times as JavaScript knows them."""
    return json.loads(re.sub(r"(:\d\d\.\d{3})\d{3}Z", r"\1Z", json.dumps(listed)))


def _posts(path: str, bodies: Iterable[Mapping[str, str]]) -> Iterator[Any]:
    """A POST of each of these, each from another address: no rate limit is met."""
    for body in bodies:
        number = next(_ADDRESSES)
        yield rest_event(
            "POST",
            f"/api/v1{path}",
            headers={"content-type": "application/json"},
            body=json.dumps(body).encode(),
            source_ip=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
        )


def _middle(stand: Stand, owner: Person) -> str:
    """The cursor after the newer half of somebody's projects."""
    from quintet.pagination import encode_cursor

    with stand.owner() as connection:
        row = connection.execute(
            """SELECT id FROM projects WHERE owner_id = %(id)s ORDER BY id
               OFFSET (SELECT count(*) / 2 FROM projects WHERE owner_id = %(id)s) LIMIT 1""",
            {"id": owner.id},
        ).fetchone()
    assert row is not None
    return encode_cursor(UUID(str(row[0])))
