"""What a message says: a document, ProseMirror's way (https://prosemirror.net/docs/guide/#doc), of the nodes below.

The models are the one schema: input is validated by them, and the API's reference is made of them. What they do not
name is refused.
"""

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
)

from functions.conversations.links import Href
from quintet.http.schemas import NO_NUL

MAX_BYTES = 64 * 1024
MAX_DEPTH = 20


def _tag(value: Any) -> str | None:
    """A node's type; in angle brackets, by which `quintet.http.problems` keeps it out of pointers."""
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"<{kind}>" if isinstance(kind, str) else None


def _kinds(*names: str) -> Discriminator:
    listed = ", ".join(names)
    return Discriminator(
        _tag, custom_error_type="kind", custom_error_message=f"what stands here has one of the types {listed}"
    )


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BoldMark(_Part):
    """Strong."""

    type: Literal["bold"]


class ItalicMark(_Part):
    """Emphasised."""

    type: Literal["italic"]


class StrikeMark(_Part):
    """Struck through."""

    type: Literal["strike"]


class CodeMark(_Part):
    """In a fixed width."""

    type: Literal["code"]


class LinkAttributes(_Part):
    """Where a link leads."""

    href: Href = Field(description="http, https or mailto.", examples=["https://example.com"])


class LinkMark(_Part):
    """A link."""

    type: Literal["link"]
    attrs: LinkAttributes


Mark = Annotated[
    Annotated[BoldMark, Tag("<bold>")]
    | Annotated[ItalicMark, Tag("<italic>")]
    | Annotated[StrikeMark, Tag("<strike>")]
    | Annotated[CodeMark, Tag("<code>")]
    | Annotated[LinkMark, Tag("<link>")],
    _kinds("bold", "italic", "strike", "code", "link"),
]

Letters = Annotated[str, StringConstraints(min_length=1, pattern=NO_NUL)]


class TextNode(_Part):
    """Text, as it is."""

    type: Literal["text"]
    text: Letters
    marks: Annotated[list[Mark], Field(max_length=5)] = []


class PlainTextNode(_Part):
    """Text that can have no marks."""

    type: Literal["text"]
    text: Letters


class HardBreakNode(_Part):
    """A new line within a paragraph."""

    type: Literal["hard_break"]


class MentionAttributes(_Part):
    """Who is mentioned."""

    id: UUID = Field(description="The account, a member of the conversation.")


class MentionNode(_Part):
    """Somebody's name."""

    type: Literal["mention"]
    attrs: MentionAttributes


Inline = Annotated[
    Annotated[TextNode, Tag("<text>")]
    | Annotated[MentionNode, Tag("<mention>")]
    | Annotated[HardBreakNode, Tag("<hard_break>")],
    _kinds("text", "mention", "hard_break"),
]


class ParagraphNode(_Part):
    """A paragraph."""

    type: Literal["paragraph"]
    content: list[Inline] = []


class HeadingAttributes(_Part):
    """How high a heading ranks."""

    level: Annotated[int, Field(strict=True, ge=1, le=6)]


class HeadingNode(_Part):
    """A heading."""

    type: Literal["heading"]
    attrs: HeadingAttributes
    content: list[Inline] = []


class CodeBlockAttributes(_Part):
    """What a code block is written in."""

    language: Annotated[str, StringConstraints(max_length=40, pattern=r"^[A-Za-z0-9+#._-]*$")] | None = None


class CodeBlockNode(_Part):
    """Lines of code."""

    type: Literal["code_block"]
    attrs: CodeBlockAttributes = CodeBlockAttributes()
    content: Annotated[list[PlainTextNode], Field(max_length=1000)] = []


class BlockquoteNode(_Part):
    """What somebody else said."""

    type: Literal["blockquote"]
    content: Annotated[list["Block"], Field(min_length=1)]


class ListItemNode(_Part):
    """An item of a list."""

    type: Literal["list_item"]
    content: Annotated[list["Block"], Field(min_length=1)]


class BulletListNode(_Part):
    """A list."""

    type: Literal["bullet_list"]
    content: Annotated[list[ListItemNode], Field(min_length=1)]


class OrderedListAttributes(_Part):
    """Where a list begins to count."""

    order: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] = 1


class OrderedListNode(_Part):
    """A numbered list."""

    type: Literal["ordered_list"]
    attrs: OrderedListAttributes = OrderedListAttributes()
    content: Annotated[list[ListItemNode], Field(min_length=1)]


Block = Annotated[
    Annotated[ParagraphNode, Tag("<paragraph>")]
    | Annotated[HeadingNode, Tag("<heading>")]
    | Annotated[CodeBlockNode, Tag("<code_block>")]
    | Annotated[BlockquoteNode, Tag("<blockquote>")]
    | Annotated[BulletListNode, Tag("<bullet_list>")]
    | Annotated[OrderedListNode, Tag("<ordered_list>")],
    _kinds("paragraph", "heading", "code_block", "blockquote", "bullet_list", "ordered_list"),
]


class DocumentNode(_Part):
    """Rich text that says something, or mentions somebody: 64 KB of JSON, nodes in 20 levels at most."""

    type: Literal["doc"]
    content: Annotated[list[Block], Field(min_length=1)]


def _bounded(value: Any) -> Any:
    too_deep = ValueError(f"nested too deeply; {MAX_DEPTH} levels at most")
    try:
        if size_of(value) > MAX_BYTES:
            raise ValueError("larger than 64 KB")
    except RecursionError:
        raise too_deep from None
    if not _within(value, MAX_DEPTH):
        raise too_deep
    return value


def size_of(value: Any) -> int:
    """Bytes of the value as JSON."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def _within(node: Any, levels: int) -> bool:
    children = node.get("content") if isinstance(node, dict) else None
    return levels > 0 and (not isinstance(children, list) or all(_within(child, levels - 1) for child in children))


def _saying_something(document: DocumentNode) -> DocumentNode:
    if not any(isinstance(node, MentionNode) or getattr(node, "text", "").strip() for node in _parts(document)):
        raise ValueError("says nothing")
    return document


def _parts(node: Any) -> Iterator[Any]:
    yield node
    for child in getattr(node, "content", ()):
        yield from _parts(child)


Document = Annotated[DocumentNode, BeforeValidator(_bounded), AfterValidator(_saying_something)]


def of_text(text: str) -> dict[str, Any]:
    """Plain text as a document of one paragraph; a new line is a hard break."""
    content: list[dict[str, Any]] = []
    for n, line in enumerate(re.split(r"\r\n|\r|\n", text)):
        content += [{"type": "hard_break"}] * bool(n) + [{"type": "text", "text": line}] * bool(line)
    return {"type": "doc", "content": [{"type": "paragraph", "content": content}]}
