"""The mailbox: what SES sent, kept as files that any mail program reads."""

import email
import email.policy
import re
import socketserver
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage, MIMEPart
from pathlib import Path

_MAX_BYTES = 40 * 1024 * 1024  # SES's limit


class MailServer:
    """A small SMTP server (RFC 5321) on 127.0.0.1 that keeps each message in `folder` and sends none on.

    `arrived` is told the recipients of each.
    """

    def __init__(self, folder: Path, port: int, *, arrived: Callable[[list[str]], None] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                _converse(self, folder, arrived)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", port), Session)
        self.port: int = self._server.server_address[1]

    def start(self) -> None:
        """Serve, in a thread."""
        threading.Thread(target=self._server.serve_forever, name="mail", daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def _converse(
    session: socketserver.StreamRequestHandler, folder: Path, arrived: Callable[[list[str]], None] | None
) -> None:
    recipients: list[str] = []

    def say(line: str) -> None:
        session.wfile.write(line.encode() + b"\r\n")

    say("220 quintet")
    while line := session.rfile.readline(2048):
        verb = line[:4].upper().decode("latin-1")
        if verb == "RCPT" and (match := re.search(rb"<([^>]*)>", line)):
            recipients.append(match[1].decode("utf-8", errors="replace"))
        if verb in ("EHLO", "HELO"):
            say("250 SMTPUTF8" if verb == "EHLO" else "250 quintet")
        elif verb == "DATA":
            say("354 go on")
            _store(folder, b"".join(_lines(session)))
            say("250 kept")
            if arrived is not None:
                arrived(recipients)
            recipients.clear()
        elif verb == "QUIT":
            say("221 bye")
            return
        else:
            say("250 ok")


def _lines(session: socketserver.StreamRequestHandler) -> Iterator[bytes]:
    size = 0
    while (line := session.rfile.readline()) not in (b".\r\n", b".\n", b""):
        size += len(line)
        if size <= _MAX_BYTES:
            yield line.removeprefix(b".") if line.startswith(b"..") else line


def _store(folder: Path, message: bytes) -> None:
    # UUID and time in the name: sorting by name is sorting by arrival.
    path = folder / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.eml"
    making = path.with_suffix(".new")
    making.write_bytes(message)
    making.replace(path)


@dataclass(frozen=True, slots=True)
class Mail:
    """One message as people read it. `at` is when it arrived, in seconds since 1970."""

    id: str
    at: float
    sender: str
    to: str
    subject: str
    text: str
    html: str


def mails(folder: Path, limit: int | None = None) -> list[Mail]:
    """The messages, or the latest `limit` of them, the newest first."""
    found = (read_mail(folder, path.stem) for path in sorted(folder.glob("*.eml"), reverse=True)[:limit])
    return [mail for mail in found if mail is not None]


def read_mail(folder: Path, name: str) -> Mail | None:
    """The message of that id."""
    if not name.replace("-", "").isalnum():
        return None
    with suppress(FileNotFoundError):
        message = email.message_from_bytes((folder / f"{name}.eml").read_bytes(), policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        text, html = (message.get_body((kind,)) for kind in ("plain", "html"))
        return Mail(
            id=name,
            at=int(name.partition("-")[0]) / 1e9,
            sender=message["From"] or "",
            to=message["To"] or "",
            subject=message["Subject"] or "",
            text=_content(text),
            html=_content(html),
        )
    return None


def _content(part: MIMEPart | None) -> str:
    # The wire ends its lines with CR LF.
    return str(part.get_content()).replace("\r\n", "\n") if part else ""
