"""Reading what messages say: documents, ProseMirror's way (https://prosemirror.net/docs/guide/#doc)."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID


def mentioned(document: Mapping[str, Any]) -> dict[UUID, str]:
    """Who is mentioned, and where first (an RFC 6901 pointer into the document)."""
    found: dict[UUID, str] = {}
    for pointer, node in _nodes(document, ""):
        if node["type"] == "mention":
            found.setdefault(UUID(node["attrs"]["id"]), pointer)
    return found


def plain_text(node: Mapping[str, Any], names: Mapping[UUID, str]) -> str:
    """What a node says without form: blocks are lines, mentions names."""
    match node["type"]:
        case "text":
            return str(node["text"])
        case "hard_break":
            return "\n"
        case "mention":
            return f"@{names[UUID(node['attrs']['id'])]}"
    between = "" if node["type"] in ("paragraph", "heading", "code_block") else "\n"
    return between.join(plain_text(child, names) for child in node.get("content", ()))


def _nodes(node: Mapping[str, Any], pointer: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield pointer, node
    for n, child in enumerate(node.get("content", ())):
        yield from _nodes(child, f"{pointer}/content/{n}")
