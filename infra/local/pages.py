"""The stand's own pages: `/` and everything below `/_local/`. They exist on this machine only."""

import html
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from starlette.types import Scope

from functions.manifest import DEAD_LETTERS, QUEUES
from infra.local.events import Response
from infra.local.mail import mails, read_mail
from infra.local.state import State
from quintet.aws import sqs
from quintet.config import settings

_SITE = Path(__file__).parent / "site"
_ASSETS = {
    "style.css": (_SITE, "text/css"),
    "page.js": (_SITE, "text/javascript"),
    "reference.js": (_SITE, "text/javascript"),
    "icon.svg": (_SITE, "image/svg+xml"),
    "swagger-ui.css": (files("fastapi_swagger.resources"), "text/css"),
    "swagger-ui-bundle.js": (files("fastapi_swagger.resources"), "text/javascript"),
}
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'self'"
_MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "sandbox allow-popups allow-popups-to-escape-sandbox; frame-ancestors 'self'"
)
_LINK = re.compile(r"(https?://[^\s<>&]+(?:&amp;[^\s<>&]+)*)")
_FILES = """
    SELECT file_name, status, reason, size, coalesce(detected_type, content_type) AS type, created_at AS at
    FROM files ORDER BY id DESC LIMIT 10
"""
_EVENTS = """
    SELECT e.at, e.type, e.subject_type, e.subject_id::text, u.email::text AS actor
    FROM events e LEFT JOIN users u ON u.id = e.actor_id
    ORDER BY e.id DESC LIMIT 15
"""


class Pages:
    """Answers for the stand's own addresses. What it shows is read from the stand itself, each time."""

    def __init__(self, state: State) -> None:
        self._mails = state.path / "mail"
        self._state = state
        self._routes: list[tuple[str, str, Callable[..., Response]]] = [
            ("GET", r"/", self._file("index.html", "text/html")),
            ("GET", r"/_local/reference", self._file("reference.html", "text/html")),
            ("GET", r"/_local/assets/([\w.-]+)", _asset),
            ("GET", r"/_local/state", self._overview),
            ("GET", r"/_local/mails", self._all_mails),
            ("GET", r"/_local/mails/([\w-]+)", self._mail),
            ("GET", r"/_local/mails/([\w-]+)/html", self._mail_html),
            ("POST", r"/_local/queues/(\w+)/redrive", _redrive),
        ]

    def serve(self, scope: Scope) -> Response:
        """Answer one request (an ASGI scope)."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        headers = dict(scope["headers"])
        if method != "GET" and headers.get(b"sec-fetch-site", b"same-origin") not in (
            b"same-origin",
            b"none",
        ):
            return _json({"message": "Only the stand's own page may do this."}, HTTPStatus.FORBIDDEN)
        for allowed, pattern, answer in self._routes:
            if allowed == method and (match := re.fullmatch(pattern, scope["path"])):
                return answer(*match.groups())
        return _json({"message": "There is no such page."}, HTTPStatus.NOT_FOUND)

    @staticmethod
    def _file(name: str, content_type: str) -> Callable[[], Response]:
        return lambda: _page((_SITE / name).read_text(), content_type)

    def _overview(self) -> Response:
        """All that the landing page shows."""
        overview: dict[str, Any] = {"url": settings().api_url, "state": str(self._state.path)}
        overview["mails"] = [
            {"id": mail.id, "at": mail.at, "to": mail.to, "subject": mail.subject} for mail in mails(self._mails, 10)
        ]
        overview["queues"] = [_queue(queue) for queue in QUEUES]
        try:
            with psycopg.connect(settings().database_url, row_factory=dict_row, autocommit=True) as connection:
                overview["files"] = connection.execute(_FILES).fetchall()
                overview["events"] = connection.execute(_EVENTS).fetchall()
        except psycopg.Error as error:
            overview["problem"] = f"The database does not answer: {error}"
        return _json(overview)

    def _all_mails(self) -> Response:
        return _json({"items": [asdict(mail) for mail in mails(self._mails)]})

    def _mail(self, name: str) -> Response:
        mail = read_mail(self._mails, name)
        if mail is None:
            return _json({"message": "There is no such mail."}, HTTPStatus.NOT_FOUND)
        values = {name: html.escape(str(value)) for name, value in asdict(mail).items()}
        values["text"] = _LINK.sub(r'<a href="\1" target="_blank" rel="noreferrer">\1</a>', values["text"])
        values["html_hidden"] = "" if mail.html else "hidden"
        page = (_SITE / "mail.html").read_text()
        return _page(re.sub(r"{{(\w+)}}", lambda match: values[match[1]], page), "text/html")

    def _mail_html(self, name: str) -> Response:
        mail = read_mail(self._mails, name)
        if mail is None or not mail.html:
            return _json({"message": "There is no such mail."}, HTTPStatus.NOT_FOUND)
        return _page('<base target="_blank">' + mail.html, "text/html", _MAIL_POLICY)


def _asset(name: str) -> Response:
    if name not in _ASSETS:
        return _json({"message": "There is no such file."}, HTTPStatus.NOT_FOUND)
    folder, content_type = _ASSETS[name]
    headers = [("Content-Type", f"{content_type}; charset=utf-8"), ("Cache-Control", "no-cache")]
    return Response(HTTPStatus.OK, headers, (folder / name).read_bytes())


def _page(content: str, content_type: str, policy: str = _POLICY) -> Response:
    headers = [
        ("Content-Type", f"{content_type}; charset=utf-8"),
        ("Content-Security-Policy", policy),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    ]
    return Response(HTTPStatus.OK, headers, content.encode())


def _json(content: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    return Response(status, headers, json.dumps(content, default=str).encode())


def _queue(queue: str) -> dict[str, Any]:
    counts = {}
    url = settings().queue_urls[queue]
    for key, address in (("live", url), ("dead", url + DEAD_LETTERS)):
        counts[key] = sqs().get_queue_attributes(QueueUrl=address, AttributeNames=["All"])["Attributes"]
    return {
        "name": queue,
        "function": QUEUES[queue],
        "waiting": int(counts["live"]["ApproximateNumberOfMessages"]),
        "in_flight": int(counts["live"]["ApproximateNumberOfMessagesNotVisible"]),
        "dead": int(counts["dead"]["ApproximateNumberOfMessages"]),
    }


def _redrive(queue: str) -> Response:
    """Put every dead letter back into its queue."""
    if queue not in QUEUES:
        return _json({"message": "There is no such queue."}, HTTPStatus.NOT_FOUND)
    url, moved = settings().queue_urls[queue], 0
    while (
        messages := sqs()
        .receive_message(
            QueueUrl=url + DEAD_LETTERS,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            VisibilityTimeout=60,
        )
        .get("Messages")
    ):
        for message in messages:
            sqs().send_message(
                QueueUrl=url,
                MessageBody=message["Body"],
                MessageAttributes=message.get("MessageAttributes", {}),
            )
            sqs().delete_message(QueueUrl=url + DEAD_LETTERS, ReceiptHandle=message["ReceiptHandle"])
            moved += 1
    return _json({"moved": moved})
