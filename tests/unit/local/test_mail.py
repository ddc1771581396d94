"""Mail that SES takes is kept, whole."""

import smtplib
import time
from email.message import EmailMessage
from pathlib import Path

import pytest

from functions.email_feedback.service import read_feedback
from infra.local import feedback
from infra.local.emulator import Emulator
from infra.local.mail import MailServer, mails, read_mail
from infra.local.state import State
from quintet import aws
from quintet.config import settings


def test_given_a_mail_in_two_forms_when_sent_then_it_is_read_as_sent(tmp_path: Path) -> None:
    server = MailServer(tmp_path, 0)
    server.start()
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "Grüße aus 日本"
    message.set_content("Zeile\n.\n..Punkte\n")
    message.add_alternative("<p>Grüße</p>\n", subtype="html")
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        client.send_message(message)
        client.send_message(message)
    server.stop()
    first, second = mails(tmp_path)
    assert first.at >= second.at
    assert (first.subject, first.to, first.text, first.html) == (
        "Grüße aus 日本",
        "b@example.com",
        "Zeile\n.\n..Punkte\n",
        "<p>Grüße</p>\n",
    )
    assert read_mail(tmp_path, first.id) == first


@pytest.mark.parametrize("name", ["", "../lock", "a/b", "0-0", "%2e%2e"])
def test_given_a_name_of_no_mail_when_read_then_there_is_none(tmp_path: Path, name: str) -> None:
    assert read_mail(tmp_path, name) is None


@pytest.mark.usefixtures("resources")
def test_given_ses_when_it_sends_then_the_mailbox_has_it(state: State) -> None:
    aws.sesv2().send_email(
        FromEmailAddress=settings().email_from,
        Destination={"ToAddresses": ["somebody@example.com"]},
        Content={"Simple": {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": "text"}}}},
    )
    deadline = time.monotonic() + 10
    while not (found := [mail for mail in mails(state.path / "mail") if mail.to == "somebody@example.com"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found[0].sender == settings().email_from


@pytest.mark.usefixtures("resources")
def test_given_the_simulators_addresses_when_mailed_then_ses_reports_what_became_of_it(emulator: Emulator) -> None:
    feedback.send(emulator.port, feedback.QUEUE, ["somebody@example.com", "Bounce+1@simulator.amazonses.com"])
    complains = ["complaint@simulator.amazonses.com", "success@simulator.amazonses.com"]
    feedback.send(emulator.port, feedback.QUEUE, complains)
    url = settings().queue_urls[feedback.QUEUE]
    received = [
        message
        for _ in range(2)
        for message in aws.sqs().receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    ]
    read = [read_feedback(message["Body"]) for message in received]
    assert {(found.reason, found.addresses) for found in read if found} == {
        ("bounce", ("bounce+1@simulator.amazonses.com",)),
        ("complaint", ("complaint@simulator.amazonses.com",)),
    }
