"""THE list of what people are told of: what it says, and where they are told unless they want it otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass

from quintet.db.models.notifications import EmailFrequency


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of notification."""

    headline: str
    """What it says in a line, by `str.format` with the facts that `quintet.notifications.lines` reads."""
    detail: str = ""
    """The fact that says more, if there is one."""
    because: str
    """Why somebody gets an email: "You get this email because ..."."""
    in_app: bool = True
    email: EmailFrequency = "off"
    push: bool = False
    urgent: bool = False
    """Somebody waits: a browser is woken for it (RFC 8030, section 5.3)."""
    has_email: bool = True
    """False for what `email_sender` writes an email about anyway."""


KINDS: Mapping[str, Kind] = {
    "task_assigned": Kind(
        headline="{actor} gave you a task: {task}",
        detail="project",
        because="a task was given to you",
        email="immediate",
        push=True,
    ),
    "task_due": Kind(
        headline="Due tomorrow: {task}",
        detail="project",
        because="a task of yours is due",
        email="immediate",
        push=True,
    ),
    "mention": Kind(
        headline="{actor} mentioned you",
        detail="message",
        because="somebody mentioned you",
        email="immediate",
        push=True,
        urgent=True,
    ),
    "direct_message": Kind(
        headline="{actor} wrote to you",
        detail="message",
        because="somebody wrote to you",
        email="digest",
        push=True,
        urgent=True,
    ),
    "conversation_added": Kind(
        headline="{actor} added you to the conversation {conversation}",
        because="you were added to a conversation",
    ),
    "project_added": Kind(headline="{actor} added you to the project {project}", because="you were added to a project"),
    "course_added": Kind(
        headline="{actor} added you to the course {course}",
        because="you were added to a course",
        email="immediate",
    ),
    "course_seat": Kind(
        headline="You have a seat in the course {course} now",
        because="you moved up from a course's waitlist",
        email="immediate",
        push=True,
    ),
    "import_finished": Kind(
        headline="Your import into {campaign} has finished", because="your import has finished", has_email=False
    ),
    "import_failed": Kind(
        headline="Your import into {campaign} has failed", because="your import has failed", has_email=False
    ),
}
"""Name of the kind -> the kind."""

DIGEST = "digest"
"""In place of a kind: all those whose emails come once a day."""
