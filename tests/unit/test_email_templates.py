"""Every email with values as bad as people can type them."""

import re
import unicodedata
from xml.etree import ElementTree

import pytest

from functions.email_sender.emails import EMAILS
from functions.email_sender.rendering import Content, Value, render, shortened
from quintet.events.types import DELIVERED_TO, EventType

TEMPLATES = sorted({email.template for email in EMAILS.values()})
UNSUBSCRIBE_URL = "https://api.example.com/prod/notifications/unsubscribe?token=def-_456"
URL = "https://api.example.com/prod/auth/password-reset/page?token=abc-_123&x='%22"
NOTIFICATIONS = {"notification", "digest"}
TAME: dict[str, Value] = {
    "name": "Ada Lovelace",
    "email": "ada@example.com",
    "at": "20 November 2026 at 14:03 UTC",
    "url": URL,
    "valid_for": "30 minutes",
    "file_name": "plan.pdf",
    "provider": "GitHub",
    "reason": "Its content is image/png.",
    "campaign": "Spring",
    "address": "https://example.com/hook",
    "description": "The shop",
    "dry_run": "",
    "failed_rows": f"GET https://api.example.com/prod/campaigns/{'1' * 36}/data/{'2' * 36}/failed-rows",
    "headline": "Grace Hopper wrote to you",
    "detail": "The engine is ready.",
    "archive": "GET https://api.example.com/prod/users/me/export/content",
    "size": "1,024 KB",
    "until": "27 November 2026 at 14:03 UTC",
    "items": [{"headline": "Due tomorrow: A plan", "detail": "The engine"}],
    "count": "2 notifications",
    "more": "1",
    "because": "somebody wrote to you",
    **{f"rows_{kind}": "1,000" for kind in ("total", "created", "updated", "duplicate", "invalid")},
}
ROUTE = f"The list: {TAME['failed_rows']}"
HOSTILE = {
    "html": "</p><script>alert('1')</script><img src=x onerror=alert(1)>\"'",
    "entities": "&lt;b&gt; &amp; &#x3c; ]]> <!-- --> <![CDATA[",
    "template": "{{ 7 * 7 }} {% include 'layout.html' %} %s %(x)s {0}",
    "header": "Eve\r\nBcc: everybody@example.com\r\n\r\nBuy this",
    "lines": "one\ntwo\x0bthree\x0cfour\x85five\u2028six\u2029seven\x00eight\x1b[31mnine",
    "direction": "photo\u202egpj.exe \u2066a\u2069 \u200f\u061c",
    "right to left": "أحمد בן داود.pdf",
    "long": "W" * 200,
    "wide": "見積書😀👩‍👩‍👧" * 40,
    "surrogate": "half \ud83d of one",
    "empty": "",
}


def rendered(template: str, **values: Value) -> Content:
    """An email of the tame values and these; notifications can be unsubscribed from."""
    link: dict[str, Value] = {"unsubscribe_url": UNSUBSCRIBE_URL} if template in NOTIFICATIONS else {}
    return render(template, **(TAME | link | values))


def structure(content: Content) -> list[tuple[str, list[str]]]:
    """Every element with its attributes' names; raises when the HTML is not well-formed."""
    return [(element.tag, sorted(element.attrib)) for element in ElementTree.fromstring(content.html).iter()]


def said(content: Content) -> str:
    """The text of the HTML's body."""
    body = ElementTree.fromstring(content.html).find("{http://www.w3.org/1999/xhtml}body")
    assert body is not None
    return "".join(body.itertext())


def harmless(value: str) -> str:
    """What is to be read of a value: its words on one line, without controls."""
    return " ".join(
        "".join(
            " " if unicodedata.category(c) in {"Cc", "Zl", "Zp", "Cs"} else c
            for c in value
            if unicodedata.bidirectional(c) not in {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI"}
            and c not in "\u200e\u200f\u061c"
        ).split()
    )


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_given_hostile_values_then_they_are_words_and_nothing_else(template: str, value: str) -> None:
    tame = rendered(template)

    # WHEN a person, a file and a reason are called that
    words = {"headline": value or "x", "detail": value or "x"}
    hostile = rendered(template, name=value or "x", file_name=value, reason=value or "x", items=[words], **words)

    # THEN they change neither the HTML's elements nor the text's lines
    assert structure(hostile) == structure(tame)
    assert len(hostile.text.splitlines()) == len(tame.text.splitlines())
    # AND are read as they were typed, in both forms
    assert shortened(harmless(value), 60) in hostile.text
    assert shortened(harmless(value), 60) in said(hostile)
    if template == "file_rejected":
        assert f"File: {harmless(value)}".rstrip() in hostile.text
        assert harmless(value) in said(hostile)
    # AND the subject is one short line
    assert 0 < len(hostile.subject) <= 120
    assert not any(unicodedata.category(c) in {"Cc", "Zl", "Zp"} for c in hostile.subject)
    for part in (hostile.subject, hostile.text, hostile.html):
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", part)
        part.encode()  # what SES is sent


@pytest.mark.parametrize("template", TEMPLATES)
def test_given_any_email_then_both_forms_hold_the_same_link_and_nothing_is_fetched(template: str) -> None:
    content = rendered(template)
    elements = list(ElementTree.fromstring(content.html).iter())

    has_link = any(email.link for email in EMAILS.values() if email.template == template)
    links = {element.attrib["href"] for element in elements if "href" in element.attrib}
    assert links == ({URL} if has_link else {UNSUBSCRIBE_URL} if template in NOTIFICATIONS else set())
    assert content.text.splitlines().count(URL) == has_link
    # nothing loads from elsewhere, which would tell when it was read
    assert not {"src", "srcset", "background"} & {name for element in elements for name in element.attrib}
    assert "url(" not in content.html
    assert "@import" not in content.html
    assert not {"script", "link", "img", "iframe"} & {element.tag.rpartition("}")[2] for element in elements}


@pytest.mark.parametrize("template", TEMPLATES)
def test_given_any_email_then_text_and_html_say_the_same(template: str) -> None:
    content = rendered(template)
    words = set(re.findall(r"[\w.]+", said(content)))
    beside_the_button = {"Or", "copy", "this", "address", "into", "your", "browser"}
    assert words - set(re.findall(r"[\w.]+", content.text)) <= beside_the_button
    assert content.text.startswith(re.search(r"<h1[^>]*>(.*?)</h1>", content.html)[1])  # type: ignore[index]


@pytest.mark.parametrize("template", TEMPLATES)
def test_given_plain_text_then_lines_fit_a_narrow_window_but_for_the_link(template: str) -> None:
    body = rendered(template).text.partition("\n-- \n")[0]
    assert [line for line in body.splitlines() if len(line) > 72 and line not in (URL, ROUTE)] == []


def test_given_an_import_that_wrote_nothing_then_its_email_does_not_say_that_something_stays() -> None:
    nothing = {"rows_created": "0", "rows_updated": "0", "rows_invalid": "0"}
    assert "No contact was written." in rendered("import_failed", **nothing).text
    assert "No contact was written." in rendered("import_failed", dry_run="yes").text
    assert "stays, and can be undone" in rendered("import_failed").text


@pytest.mark.parametrize("template", ["import_finished", "import_failed"])
def test_given_rows_that_were_not_taken_then_the_email_of_their_import_says_where_they_are(template: str) -> None:
    assert ROUTE in rendered(template).text.splitlines()
    assert ROUTE not in rendered(template, rows_invalid="0").text


def test_given_a_secret_in_an_email_then_its_repr_does_not_show_it() -> None:
    assert "abc-_123" not in repr(rendered("password_reset"))


def test_given_the_events_that_are_mailed_then_each_has_its_email() -> None:
    always = {type for type, destinations in DELIVERED_TO.items() if "email" in destinations}
    assert set(EMAILS) == always | {EventType.NOTIFICATION_CREATED}  # that one when it is wanted
