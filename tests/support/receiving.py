"""A webhook's receiver: a real server on this machine that behaves as a test wants, and the queue worked off."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from infra.local.events import schedule_event, sqs_event
from infra.local.invocation import invoke
from tests.support.api import Api
from tests.support.statements import execute
from tests.support.uploading import forget_what_is_due, received

Behaviour = Callable[[BaseHTTPRequestHandler], object]


@dataclass(frozen=True)
class Received:
    """One request that came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The event in it."""
        found: dict[str, Any] = json.loads(self.body)["data"]
        return found


@dataclass
class Receiver:
    """Where it listens, what came in, and how it behaves: by default it answers 204."""

    url: str
    requests: list[Received] = field(default_factory=list)
    behaviour: Behaviour = field(default_factory=lambda: answering(204))
    ended: threading.Event = field(default_factory=threading.Event)
    server: ThreadingHTTPServer | None = None

    @property
    def types(self) -> list[str]:
        """The types of the events that came in, in order."""
        return [json.loads(request.body)["type"] for request in self.requests]


def answering(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Behaviour:
    """Answer this."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def saying(raw: bytes) -> Behaviour:
    """Send these bytes, whatever they are, and close."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(raw)
        handler.close_connection = True

    return behave


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver for as long as one is inside."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            receiver.requests.append(
                Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            )
            self.close_connection = True
            with suppress(BrokenPipeError, ConnectionResetError):  # whoever asked has gone
                receiver.behaviour(self)

        def do_GET(self) -> None:
            self.do_POST()

        def do_DELETE(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the test's own output is read."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook?key=1", server=server)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.ended.set()
        server.shutdown()
        server.server_close()


def hanging(receiver: Receiver) -> Behaviour:
    """Never answer."""
    return lambda _: receiver.ended.wait(60)


def dripping(receiver: Receiver) -> Behaviour:
    """Answer a byte at a time, for ever."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-long: ")
        while not receiver.ended.wait(0.05):
            handler.wfile.write(b"a")

    return behave


def encrypted(receiver: Receiver, folder: Path, *, name: str) -> int:
    """Have the receiver speak TLS with a certificate of its own, `certificate.pem` in the folder; its port."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    assert receiver.server is not None
    receiver.server.socket = context.wrap_socket(
        receiver.server.socket, server_side=True, do_handshake_on_connect=False
    )
    return receiver.server.server_port


def subscribe(user: Api, receiver: Receiver, *types: str) -> dict[str, Any]:
    """A webhook of the user's, as it was answered: with its secret."""
    made = user.post("/webhooks", {"url": receiver.url, "types": list(types)})
    assert made.status == 201, made
    answer: dict[str, Any] = made.json()
    return answer


def send(*messages: Mapping[str, Any]) -> list[str]:
    """One invocation for each message, as the queue does; those that are to come again."""
    answers = [invoke("webhook_sender", sqs_event("webhooks", [message])) for message in messages]
    return [failure["itemIdentifier"] for answer in answers for failure in answer["batchItemFailures"]]


def work_off() -> int:
    """Consume the queue until it is empty; how many messages that were."""
    done = 0
    while messages := received("webhooks"):
        assert send(*messages) == []
        done += len(messages)
    return done


def let_time_pass(webhook: Mapping[str, Any]) -> None:
    """The next attempts of a webhook are due, and the dispatcher has sent them."""
    execute(
        "UPDATE webhook_deliveries SET next_attempt_at = now() - interval '1 s', lease_until = now() - interval '1 s', "
        "first_tried_at = first_tried_at - (next_attempt_at - now()) "
        "WHERE webhook_id = %(id)s AND status = 'pending'",
        id=webhook["id"],
    )
    invoke("event_dispatcher", schedule_event("event_dispatcher"))


def deliveries(user: Api, webhook: Mapping[str, Any], **query: str) -> list[dict[str, Any]]:
    """The deliveries of a webhook as its owner reads them, the newest first."""
    answer = user.get(f"/webhooks/{webhook['id']}/deliveries", query=list(query.items()))
    assert answer.status == 200, answer
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def remove_all() -> None:
    """Nobody subscribes to anything, and nothing is due or queued."""
    execute("DELETE FROM webhooks")
    forget_what_is_due()
    received("webhooks")


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
