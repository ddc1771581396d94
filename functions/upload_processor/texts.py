"""What a file says, as passages: for search, and for the assistant to quote.

A delivery of its own after the file has become ready: what is wrong with a document keeps no file from its owner.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select

from functions.upload_processor import pdf
from functions.upload_processor.media_types import NAMES
from quintet.db.models.files import File, FileText
from quintet.db.session import reading, writing
from quintet.files.objects import get_from, named
from quintet.files.purposes import MB
from quintet.observability import logger

MAX_TEXT_FILE = 2 * MB
"""Bytes of a text that are read; of a longer one its beginning."""
MAX_PDF = 20 * MB
MAX_CHARACTERS = 500_000
_PASSAGE = 1_500
"""Characters, about: some paragraphs."""

_TEXTUAL = ("text/", "application/json", "application/xml")
_NOT_READ = ("text/html", "text/javascript", "text/css")


def extract(file_id: UUID | None) -> str | None:
    """Keep the text of a ready file, in place of what was kept before; a note where there is none.

    There is always a passage, if an empty one: nobody need look at the file again.
    """
    with reading() as session:
        file = session.scalar(select(File).where(File.id == file_id, File.status == "ready"))
    if file is None:
        return "no such file any more"
    text = _text_of(file)
    parts = [*_passages(text or "")] or [""]
    passages = [{"file_id": file.id, "position": n, "text": part} for n, part in enumerate(parts)]
    with writing() as session:
        there = session.scalar(select(File.id).where(File.id == file.id).with_for_update(read=True, key_share=True))
        session.execute(delete(FileText).where(FileText.file_id == file.id))
        if there:
            session.execute(insert(FileText), passages)
    return None if text is not None else f"no text is read from {NAMES.get(file.detected_type or '', 'this type')}"


def _text_of(file: File) -> str | None:
    kind = file.detected_type or ""
    if file.purpose == "campaign_data":
        return None  # contacts are no reading matter
    if kind == "application/pdf":
        return _pdf(file) if file.size <= MAX_PDF else None
    if kind.startswith(_TEXTUAL) and not kind.startswith(_NOT_READ):
        return _decoded(_content(file, MAX_TEXT_FILE))
    return None


def _content(file: File, most: int) -> bytes:
    with closing(get_from(_names(file), 0, min(file.size, most) - 1)) as body:
        return body.read(most)


def _pdf(file: File) -> str:
    text, error = pdf.text_of(_content(file, MAX_PDF), MAX_CHARACTERS)
    if error:
        logger.info("A PDF cannot be read to its end", error=error, file_id=str(file.id))
    return text


def _names(file: File) -> Any:
    return named(file.bucket, file.key, file.version_id)


def _decoded(content: bytes) -> str:
    """UTF-8, UTF-16 with its mark, else what Western Europe's old files are in."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start > len(content) - 4:  # cut off within a character
            return content[: error.start].decode("utf-8-sig")
        return content.decode("cp1252", errors="replace")


def _passages(text: str) -> Iterator[str]:
    """The text in pieces that end where a paragraph or a line does, or at least a word."""
    text = text[:MAX_CHARACTERS].replace("\x00", "").encode(errors="replace").decode()
    start = 0
    while start < len(text):
        end = _end(text, start)
        if passage := text[start:end].strip():
            yield passage
        start = end


def _end(text: str, start: int) -> int:
    end = start + _PASSAGE
    if end >= len(text):
        return len(text)
    for mark in ("\n\n", "\n", " "):
        found = text.rfind(mark, start + _PASSAGE // 2, end)
        if found > 0:
            return found + len(mark)
    return end
