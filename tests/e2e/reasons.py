"""What schemathesis cannot know from the document: why a request that keeps to it may still be a 400."""

import re
from typing import Any

import schemathesis

REASONS = re.compile(
    "|".join(
        [
            "The same field is sent as",
            "This is another name of",
            "String should have at least 1 character",  # of blanks, nothing is left
            "easily guessed",
            "Newcomers cannot choose this role",
            "(Not|not) an email address",
            "There is no (such )?(active account|agent|file|folder|message|place|project|role|task)",
            "There is no (such answer|conversation)",
            "This link has expired",
            "This is not the account's password",
            "A NUL character cannot be stored",
            "An empty file cannot be uploaded",
            "The file is empty",
            "A name has",
            "Send a media type",
            "Send the ETag as it came",
            "Send a next_cursor of an earlier answer",
            "Send either `cursor`",
            "Send `start`, `latest`, or the next_cursor",
            "Ask for 1 to",
            "Name 1 to",
            "This upload has",
            "Send each part once",
            "S3 does not have one of these parts",
            "The parts (are not in order|together do not have the size)",
            "A part other than the last is smaller",
            "is not accepted for the purpose",
            "Larger than 16 KB",
            "Nested too deeply",
            "Integers beyond 64 bits",
            "A folder cannot be moved into itself",
            "Tasks (are assigned to members|have positions within a project)",
            "Send `before` or `after`",
            "Not a time zone",
            "Not a country whose telephone numbers are known",
            "Not a telephone number that can be used",
            "`end_date` is not to be before",
            "A contact keeps an email address or a telephone number",
            "An activity is not in the future",
            "Send either (agent_ids or agent_id|user_ids or user_id|user_id, for a direct conversation)",
            "Send content(, text)? or (text|attachments)",
            "Not one emoji",
            "The link is not one of ours",
            "Not an https address of a push service",
            "Not a public key of P-256",
            "The column is given for",
            "Larger than 64 KB",
            "Says nothing",
            "Send a word that is to be there",
            "A conversation takes somebody else",
            "A direct conversation has neither",
            "Only members of the conversation can be mentioned",
            "Send a file of your own",
            "Send a column's name, or its position",
            "Invalid JSON",  # in a field of a form
            "This day is after `to`",
            "(Send a key of|Leave the key out|Nobody goes anywhere to connect)",
            "(There are|has) the operations",
            "Send an address of one of the front ends",
            "This was not begun in this browser",
            "The last message has no text",
            "Files cannot be attached here",
            "Approve or decline everything",
            "Send a text, or to be suggested",
            "This is not JSON",
            "An object has",
            "at most to be formatted",
        ]
    )
)
"""References, passwords, one-time tokens, names of one field, and what is in free-form JSON.

And entity tags: the document has their pattern, but the tool tries headers of letters and digits only.
"""


@schemathesis.check
def a_valid_request_is_refused_for_a_reason_only(
    _: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """Fail on a 400 for which the document gives no reason."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 400:
        return
    if "problem+json" in response.headers.get("content-type", [""])[0]:
        unexplained = [error for error in response.json()["errors"] if not REASONS.search(error["detail"])]
        assert not unexplained, f"The schema allows it, yet: {unexplained}"
