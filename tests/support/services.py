"""GitHub, Google, meshy.ai and a maker of videos as one server on this machine, and the queue worked off.

What it answers is what is put into it; `behaviours` has its way with a path first, as often as it is listed there.
"""

import json
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit
from uuid import UUID

import pytest

from infra.local.events import sqs_event
from infra.local.invocation import invoke
from quintet import aws
from quintet.config import settings
from quintet.db.session import writing
from quintet.integrations.sealing import seal
from quintet.integrations.services import SERVICES
from quintet.oauth.providers import forget_clients
from tests.support.api import Api
from tests.support.receiving import Behaviour, answering
from tests.support.statements import execute
from tests.support.uploading import received

CLIENT = ("quintet-client", "the secret of the client")
KEY = "msy_a-key-that-nobody-is-to-see"
PAGE = 2
"""Things on a page."""
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00" * 64
GLB = b"glTF\x02\x00\x00\x00" + b"\x00" * 64


@dataclass(frozen=True)
class Asked:
    """One request that came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Services:
    """Where it listens, what came in, and what it holds."""

    url: str = ""
    requests: list[Asked] = field(default_factory=list)
    behaviours: dict[str, list[Behaviour]] = field(default_factory=lambda: defaultdict(list))
    repositories: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    results: dict[str, bytes] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    """Those that are good."""
    open: bool = False
    """Whether any token is."""
    refresh_tokens: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)
    """Every token there ever was, none of which is to be found anywhere."""
    revoked: list[str] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=lambda: count(1000))
    before: Callable[[str], object] = lambda path: None
    """Called with the path before anything is answered."""

    def paths(self, *but: str) -> list[str]:
        """What was asked for, in order."""
        return [request.path for request in self.requests if request.path not in but]

    def give_token(self) -> tuple[str, str]:
        """A new access token, which is the only good one, and a refresh token."""
        access, refresh = (f"{kind}-{secrets.token_hex(8)}" for kind in ("access", "refresh"))
        self.tokens, self.refresh_tokens = {access}, {refresh}
        self.given |= {access, refresh}
        return access, refresh

    def repository(self, name: str, **more: Any) -> dict[str, Any]:
        """A repository that GitHub has from now on, the last changed one."""
        id = next(self.ids)
        at = f"2026-11-01T00:00:{id % 60:02}Z"
        new = {"id": id, "full_name": f"octo/{name}", "private": False, "updated_at": at}
        self.repositories.insert(0, {**new, **more})
        return self.repositories[0]

    def issue(self, number: int, title: str = "A bug", **more: Any) -> dict[str, Any]:
        """An issue that GitHub has from now on, or that has changed: the last changed one."""
        self.issues = [issue for issue in self.issues if issue["number"] != number]
        at = f"2026-11-02T{len(self.issues):02}:00:00Z"
        new = {"id": 5000 + number, "number": number, "title": title, "state": "open", "updated_at": at, "body": "Why?"}
        new["repository"] = {"full_name": "octo/engine"}
        self.issues.insert(0, {**new, **more})
        return self.issues[0]

    def document(self, id: str, name: str = "A document") -> None:
        """A document that Google has from now on, or that has changed."""
        self.documents[id] = {"id": id, "name": name, "mimeType": "application/vnd.google-apps.document"}
        self.changes.append({"fileId": id, "removed": False, "file": self.documents[id]})

    def remove_document(self, id: str) -> None:
        """One that is gone."""
        del self.documents[id]
        self.changes.append({"fileId": id, "removed": True})

    def finish(self, content: bytes, **more: Any) -> None:
        """Every job is done, and has made this."""
        self.results["result"] = content
        url = f"{self.url}/results/result"
        for job in self.jobs.values():
            job.update(status="SUCCEEDED", progress=100, model_urls={"glb": url})
            job.update(state="completed", assets={"video": url}, **more)

    def fail(self, why: str) -> None:
        """Every job has failed."""
        for job in self.jobs.values():
            job.update(status="FAILED", task_error={"message": why}, state="failed", failure_reason=why)

    def answer(self, asked: Asked) -> Behaviour:
        """What is answered when nothing else is to happen."""
        path = asked.path
        if path == "/token":
            return self._refreshed(dict(parse_qsl(asked.body.decode())))
        if path.startswith("/applications/") or path == "/revoke":
            self.revoked.append(asked.body.decode())
            return answering(204 if path != "/revoke" else 200)
        if path.startswith("/results/"):
            assert "authorization" not in asked.headers
            return answering(200, body=self.results[path.rpartition("/")[2]])
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if not (token in self.tokens or (token and self.open)):
            return _json({"message": "Bad credentials"}, status=401)
        answers: dict[str, Callable[[], Behaviour]] = {
            "/user/repos": lambda: self._listed(asked, self.repositories),
            "/issues": lambda: self._listed(asked, self._since(asked)),
            "/repos/": lambda: self._one(path),
            "/drive/v3/": lambda: self._drive(asked),
            "/openapi/v2/text-to-3d": lambda: self._job(asked, "result"),
            "/dream-machine/v1/generations": lambda: self._job(asked, "id"),
        }
        for prefix, answered in answers.items():
            if path.startswith(prefix):
                return answered()
        return _json({"message": "Not Found"}, status=404)

    def _refreshed(self, form: dict[str, str]) -> Behaviour:
        assert (form["client_id"], form["client_secret"]) == CLIENT
        if form.get("refresh_token") not in self.refresh_tokens:
            return _json({"error": "invalid_grant"}, status=400)
        access, refresh = self.give_token()
        return _json({"access_token": access, "refresh_token": refresh, "token_type": "bearer", "expires_in": 3600})

    def _since(self, asked: Asked) -> list[dict[str, Any]]:
        return [issue for issue in self.issues if issue["updated_at"] >= asked.query.get("since", "")]

    def _listed(self, asked: Asked, items: list[dict[str, Any]]) -> Behaviour:
        start = (int(asked.query.get("page", "1")) - 1) * PAGE
        page = items[start : start + PAGE]
        etag = f'W/"{hash(json.dumps([page, len(items)])):x}"'
        if asked.headers.get("if-none-match") == etag:
            return answering(304, {"etag": etag})
        headers = {"etag": etag}
        if start + PAGE < len(items):
            more = {**asked.query, "page": str(start // PAGE + 2)}
            query = "&".join(f"{name}={value}" for name, value in more.items())
            headers["link"] = f'<{self.url}{asked.path}?{query}>; rel="next", <{self.url}/x>; rel="last"'
        return _json(page, headers=headers)

    def _one(self, path: str) -> Behaviour:
        _, _, owner, name, *issue = path.split("/")
        found = (
            [one for one in self.issues if str(one["number"]) == issue[1]]
            if issue
            else [one for one in self.repositories if one["full_name"] == f"{owner}/{name}"]
        )
        return _json(found[0]) if found else _json({"message": "Not Found"}, status=404)

    def _drive(self, asked: Asked) -> Behaviour:
        path = asked.path.removeprefix("/drive/v3")
        if path == "/changes/startPageToken":
            return _json({"startPageToken": str(len(self.changes))})
        start = int(asked.query.get("pageToken", "0"))
        if path == "/files":
            files = list(self.documents.values())
            more = {"nextPageToken": str(start + PAGE)} if start + PAGE < len(files) else {}
            return _json({"files": files[start : start + PAGE], **more})
        if path == "/changes":
            end = min(start + PAGE, len(self.changes))
            token = {"nextPageToken" if end < len(self.changes) else "newStartPageToken": str(end)}
            return _json({"changes": self.changes[start:end], **token})
        document = self.documents.get(path.split("/")[2])
        if document is None:
            return _json({"error": {"message": "File not found."}}, status=404)
        return answering(200, {"content-type": "text/plain"}, f"The text of {document['name']}".encode())

    def _job(self, asked: Asked, name: str) -> Behaviour:
        if asked.method == "POST":
            id = f"job-{len(self.jobs)}"
            self.jobs[id] = {"id": id, "status": "PENDING", "state": "queued", "progress": 0, **json.loads(asked.body)}
            return _json({name: id}, status=202)
        return _json(self.jobs[asked.path.rpartition("/")[2]])


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Behaviour:
    return answering(status, {"content-type": "application/json", **(headers or {})}, json.dumps(content).encode())


@contextmanager
def serving() -> Iterator[Services]:
    """The server for as long as one is inside; the code under test is told that the services are there."""
    with listening() as services, told(services.url):
        yield services


@contextmanager
def listening() -> Iterator[Services]:
    """The server for as long as one is inside."""
    services = Services()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, query, headers, body)
            services.requests.append(asked)
            services.before(parts.path)
            listed = services.behaviours[parts.path]
            behave = listed.pop(0) if listed else services.answer(asked)
            with suppress(BrokenPipeError, ConnectionResetError):  # whoever asked has gone
                behave(self)

        do_GET = do_DELETE = do_POST  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the test's own output is read."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    services.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield services
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def told(url: str) -> Iterator[None]:
    """The services are at this address."""
    client = {
        "client_id": CLIENT[0],
        "client_secret": CLIENT[1],
        "api": url,
        "authorization_endpoint": f"{url}/authorize",
        "token_endpoint": f"{url}/token",
    }
    clients = {
        "github": {**client, "revocation_endpoint": f"{url}/applications/{{client_id}}/token"},
        "google": {**client, "revocation_endpoint": f"{url}/revoke"},
    }
    with configured(clients), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MESHY_API_URL", url)
        patch.setenv("VIDEO_API_URL", url)
        settings.cache_clear()
        yield
    settings.cache_clear()


@contextmanager
def configured(clients: Mapping[str, Any]) -> Iterator[None]:
    """This is what we are to OAuth providers."""
    secret = settings().oauth_clients_secret_id
    before = aws.secrets().get_secret_value(SecretId=secret)["SecretString"]
    aws.secrets().put_secret_value(SecretId=secret, SecretString=json.dumps(clients))
    forget_clients()
    try:
        yield
    finally:
        aws.secrets().put_secret_value(SecretId=secret, SecretString=before)
        forget_clients()


def connected(user: Api, services: Services, service: str, *, expires_in: float | None = 3600) -> str:
    """An integration of the user's with a good token, due to be fetched from; its id."""
    if not SERVICES[service].provider:
        made = user.post("/integrations", {"service": service, "api_key": KEY})
        assert made.status == 201, made
        services.tokens.add(KEY)
        return str(made.json()["id"])
    access, refresh = services.give_token()
    [(id,)] = execute(
        "INSERT INTO integrations (user_id, service, status, next_sync_at, connected_at)"
        " VALUES (%(user)s, %(service)s, 'connected', now(), now()) RETURNING id",
        user=user.id,
        service=service,
    )
    give(id, user.id, {"access_token": access, "refresh_token": refresh}, expires_in=expires_in)
    return str(id)


def give(id: UUID, user_id: UUID, kept: Mapping[str, str], *, expires_in: float | None) -> None:
    """Seal these as the integration's."""
    sealed = seal(kept, integration_id=id, user_id=user_id)
    with writing() as session:
        session.connection().exec_driver_sql(
            "UPDATE integrations SET sealed = %(sealed)s, data_key = %(data_key)s, key_id = %(key_id)s,"
            " token_version = token_version + 1,"
            " expires_at = now() + make_interval(secs => %(expires_in)s) WHERE id = %(id)s",
            {
                "id": id,
                "expires_in": expires_in,
                "sealed": sealed.sealed,
                "data_key": sealed.data_key,
                "key_id": sealed.key_id,
            },
        )


def send(*messages: Mapping[str, Any]) -> list[str]:
    """One invocation for each message, as the queue does; those that are to come again."""
    answers = [invoke("integration_syncer", sqs_event("integrations", [message])) for message in messages]
    return [failure["itemIdentifier"] for answer in answers for failure in answer["batchItemFailures"]]


def sync(id: str) -> list[str]:
    """Fetch from an integration now."""
    execute("UPDATE integrations SET next_sync_at = now() WHERE id = %(id)s AND status = 'connected'", id=id)
    return send({"integration_id": id})


def work_off() -> int:
    """Consume the queue until it is empty; how many messages that were."""
    done = 0
    while messages := received("integrations"):
        assert send(*messages) == []
        done += len(messages)
    return done


def step(request_id: str) -> list[str]:
    """The next step of a request is due, and is done."""
    execute("UPDATE integration_requests SET next_attempt_at = now() WHERE id = %(id)s", id=request_id)
    return send({"request_id": request_id})


def read(user: Api, id: str) -> dict[str, Any]:
    """The integration as its owner reads it."""
    answer = user.get(f"/integrations/{id}")
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json()
    return found


def records(user: Api, id: str, **query: str) -> list[dict[str, Any]]:
    """What was fetched, as its owner reads it."""
    answer = user.get(f"/integrations/{id}/records", query=[("limit", "100"), *query.items()])
    assert answer.status == 200, answer
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def ask(user: Api, id: str, operation: str, **asked: Any) -> dict[str, Any]:
    """Ask something of a service."""
    answer = user.post(f"/integrations/{id}/requests", {"operation": operation, **asked})
    assert answer.status == 202, answer
    made: dict[str, Any] = answer.json()
    assert answer.header("location") == f"/api/v1/integrations/{id}/requests/{made['id']}"
    return made


def outcome(user: Api, request: Mapping[str, Any]) -> dict[str, Any]:
    """A request as it is now."""
    answer = user.get(f"/integrations/{request['integration_id']}/requests/{request['id']}")
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json()
    return found


def dripping(begun: bytes, seconds: float = 5) -> Behaviour:
    """Answer this, and one more byte now and then."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(begun)
        for _ in range(int(seconds * 20)):
            time.sleep(0.05)
            handler.wfile.write(b"x")
        handler.close_connection = True

    return behave


def slowly(seconds: float, behaviour: Behaviour) -> Behaviour:
    """Behave so after a while."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        behaviour(handler)

    return behave
