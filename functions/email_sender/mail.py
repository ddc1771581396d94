"""Sending through SES."""

from dataclasses import dataclass, field
from email.utils import formataddr, parseaddr
from typing import TYPE_CHECKING

from functions.email_sender.errors import NotSent, SendingFailedError
from functions.email_sender.rendering import Content
from quintet.aws import sesv2
from quintet.config import settings
from quintet.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_sesv2.type_defs import ContentTypeDef, SendEmailRequestTypeDef

_REFUSED = {"MessageRejected", "BadRequestException"}


@dataclass(frozen=True, slots=True)
class Message:
    """An email to one person. Its repr tells nothing: what is logged holds no address and no token."""

    to: str = field(repr=False)
    content: Content = field(repr=False)
    unsubscribe_url: str = field(default="", repr=False)


def send(message: Message) -> str:
    """Hand the message to SES; returns its id there.

    Raises NotSent when SES will never take it, SendingFailedError when it may later.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    name, sender = parseaddr(settings().email_from)
    content = message.content
    request: SendEmailRequestTypeDef = {
        "FromEmailAddress": formataddr((name, sender)),  # a name that is not ASCII as an encoded word (RFC 2047)
        "Destination": {"ToAddresses": [message.to]},
        "Content": {
            "Simple": {
                "Subject": _utf8(content.subject),
                "Body": {"Text": _utf8(content.text), "Html": _utf8(content.html)},
                "Headers": [{"Name": name, "Value": value} for name, value in _headers(message).items()],
            }
        },
    }
    if configuration_set := settings().ses_configuration_set:
        request["ConfigurationSetName"] = configuration_set
    try:
        return sesv2().send_email(**request)["MessageId"]
    except ClientError as error:
        code, detail = error.response["Error"]["Code"], error.response["Error"]["Message"]
    except BotoCoreError as error:
        code, detail = type(error).__name__, ""
    # Outside of `except`, so that no traceback, ours or Sentry's, leads to the provider's message.
    # A sender that is not verified is ours to repair, and no reason to lose what it was to send.
    if code in _REFUSED and sender not in detail:
        logger.error("SES refuses an email for good.", code=code)
        raise NotSent(f"SES refuses it: {code}")
    raise SendingFailedError(code)


def _headers(message: Message) -> dict[str, str]:
    headers = {"Auto-Submitted": "auto-generated"}  # no out-of-office replies (RFC 3834)
    if url := message.unsubscribe_url:  # by one click in the mail program (RFC 8058)
        headers |= {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    return headers


def _utf8(text: str) -> "ContentTypeDef":
    return {"Data": text, "Charset": "UTF-8"}
