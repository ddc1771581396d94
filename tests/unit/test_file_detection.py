"""What a file is, by its content; and whether it is what its uploader says."""

import io
import zipfile
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.upload_processor.detection import FIRST, detect
from functions.upload_processor.media_types import NAMES, reconcile
from quintet.files.purposes import ACTIVE, DOCX, PPTX, PROGRAMS, PURPOSES, XLSX


def archive(*names: str, padding: int = 0) -> bytes:
    """A ZIP archive with these entries, after one of `padding` bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        if padding:
            made.writestr("padding.bin", b"\xff" * padding)
        for name in names:
            made.writestr(name, "application/vnd.oasis.opendocument.text" if name == "mimetype" else "<x/>")
    return content.getvalue()


def of(content: bytes) -> str:
    """What `detect` says, given what the processor would give it."""
    return detect(content[:FIRST], lambda: content[-FIRST:], whole=len(content) <= FIRST)


BINARY: list[tuple[bytes, str]] = [
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image/png"),
    (b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00", "image/jpeg"),
    (b"GIF89a\x01\x00\x01\x00", "image/gif"),
    (b"RIFF\x24\x00\x00\x00WEBPVP8 \x00", "image/webp"),
    (b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00", "audio/wav"),
    (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00", "video/mp4"),
    (b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00", "video/quicktime"),
    (b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00", "image/avif"),
    (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "image/heic"),
    (b"\x00\x00\x00\x20ftypM4A \x00\x00\x00\x00", "audio/mp4"),
    (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00", "video/mp4"),
    (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01", "video/webm"),
    (b"ID3\x03\x00\x00\x00\x00\x00\x0a", "audio/mpeg"),
    (b"fLaC\x00\x00\x00\x22", "audio/flac"),
    (b"OggS\x00\x02\x00\x00", "application/ogg"),
    (b"II*\x00\x08\x00\x00\x00", "image/tiff"),
    (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c\x00\x04", "application/x-7z-compressed"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00", "application/x-ole-storage"),
    (b"MZ\x90\x00\x03\x00\x00\x00", "application/vnd.microsoft.portable-executable"),
    (b"\x7fELF\x02\x01\x01\x00", "application/x-executable"),
    (b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01", "application/x-mach-binary"),
    (bytes(100), "application/octet-stream"),
    (b"glTF\x02\x00\x00\x00", "application/octet-stream"),
]
ARCHIVES: list[tuple[bytes, str]] = [
    (archive("[Content_Types].xml", "word/document.xml"), DOCX),
    (archive("[Content_Types].xml", "xl/workbook.xml"), XLSX),
    (archive("[Content_Types].xml", "ppt/presentation.xml"), PPTX),
    (archive("mimetype", "content.xml"), "application/vnd.oasis.opendocument.text"),
    (archive("META-INF/MANIFEST.MF", "AndroidManifest.xml"), "application/vnd.android.package-archive"),
    (archive("META-INF/MANIFEST.MF"), "application/java-archive"),
    (archive("a/xl/workbook.xml.txt"), "application/zip"),
    (archive(), "application/zip"),
    (archive("xl/workbook.xml", padding=200_000), XLSX),
]
TEXTS: list[tuple[bytes, str]] = [
    (b"id,name\n1,a\n", "text/plain"),
    (b"MZ,BM,PK\n1,2,3\n", "text/plain"),
    (b"BM,hello\n1,2\n", "text/plain"),
    (b"sku,free,mdat\n", "text/plain"),
    ("氏名,年\n".encode(), "text/plain"),
    ("氏名,年\n".encode("utf-16"), "text/plain"),
    ("氏名,年\n".encode("utf-8-sig"), "text/plain"),
    ("氏名,年\n".encode("cp932"), "text/plain"),
    ("año\n".encode("cp1252"), "text/plain"),
    (b"a,b\r\n1,2\r\n\x1a", "text/plain"),
    (b'{"a": [1]}', "application/json"),
    (b"{not json", "text/plain"),
    (b"[Email],[Name]\n" + b"a@example.com,Ann\n" * 5_000, "text/plain"),
    (b'["Email"],["Name"]\n' + b"a@example.com,Ann\n" * 5_000, "text/plain"),
    (b'[{"a": "' + b"x" * 70_000 + b'"}]', "application/json"),
    (b"[" + b"false," * 20_000 + b"1]", "application/json"),
    (b'{"a": ["' + b"\\u0041" * 20_000 + b'"]}', "application/json"),
    (b"Email,Name\na@example.com,A\0nn\n", "text/plain"),
    (b"\xef\xbb\xbfEmail,Name\na@example.com,A\0nn\n", "text/plain"),
    (b"Email,Name\na@example.com,A\0nn\n" + b"b@example.com,Bob\n" * 3, "text/plain"),
    (b"[" * 70_000, "application/json"),
    (b"#!/bin/sh\nrm x\n", "application/x-sh"),
    (b"{\\rtf1 hello}", "application/rtf"),
    (b"<!DOCTYPE HTML><p>", "text/html"),
    (b"\xef\xbb\xbf\n <!-- x -->\n<!-- y --><HTML>", "text/html"),
    ("<script>1</script>".encode("utf-16"), "text/html"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
    (b"<?xml version='1.0'?>\n<!DOCTYPE svg>\n<svg:svg/>", "image/svg+xml"),
    (b"<?xml version='1.0'?><note/>", "application/xml"),
    (b"<!-- never closed", "text/plain"),
    (b"<3 is a heart", "text/plain"),
]


@pytest.mark.parametrize(("content", "media_type"), BINARY + ARCHIVES + TEXTS)
def test_given_a_content_then_its_type_is_known(content: bytes, media_type: str) -> None:
    assert of(content) == media_type


def test_given_a_character_cut_in_two_at_the_end_of_what_is_read_then_it_is_text_still() -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        for shift in range(4):
            content = ("a" * shift + "名" * FIRST + "😀").encode(encoding)
            assert of(content) == "text/plain", (encoding, shift)


def test_given_thousands_of_comments_when_looking_for_the_first_element_then_it_takes_no_time() -> None:
    assert of((b"<!---->" * 20_000)[:FIRST]) == "text/plain"


@given(st.binary(max_size=2_000) | st.text(max_size=500).map(str.encode))
def test_given_any_bytes_then_detection_answers_a_type_it_can_name(content: bytes) -> None:
    assert of(content) in NAMES


@pytest.mark.parametrize(
    ("declared", "content", "name", "real"),
    [
        ("application/octet-stream", b"a,b\n", "a.CSV", "text/csv"),
        ("application/octet-stream", b"a,b\n", "a", "text/plain"),
        ("text/plain", b"a\tb\n", "a.tsv", "text/tab-separated-values"),
        ("text/markdown", b"# a\n", "a", "text/markdown"),
        ("application/vnd.ms-excel", b"a;b\n", "a.csv", "text/csv"),
        ("application/vnd.ms-excel", archive("xl/workbook.xml"), "a.xls", XLSX),
        ("application/vnd.ms-excel", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", "a.xls", "application/vnd.ms-excel"),
        ("image/jpg", b"\xff\xd8\xff\xe0\x00", "a", "image/jpeg"),
        ("application/x-zip-compressed", archive("a"), "a", "application/zip"),
        ("application/zip", archive("word/document.xml"), "a", DOCX),
        ("application/zip", archive("META-INF/MANIFEST.MF"), "a", "application/java-archive"),
        ("audio/mp4", b"\x00\x00\x00\x18ftypmp42\x00\x00", "a", "video/mp4"),
        ("audio/ogg", b"OggS\x00\x02\x00\x00", "a", "application/ogg"),
        ("model/gltf-binary", b"glTF\x02\x00\x00\x00", "a", "model/gltf-binary"),
        ("application/vnd.sketch", archive("document.json"), "a", "application/vnd.sketch"),
        ("application/geo+json", b'{"type": 1}', "a", "application/geo+json"),
        ("application/x-ndjson", b'{"a": 1}\n{"a": 2}\n', "a", "application/x-ndjson"),
        ("text/html", b"<p>a fragment", "a", "text/html"),
        ("text/javascript", b"alert(1)", "a", "text/javascript"),
        ("image/png", b"%PDF-1.7\n\xff\x00", "a.png", None),
        ("image/png", bytes(99), "a.png", None),
        ("image/png", b"text", "a.png", None),
        ("image/svg+xml", b"text", "a.svg", None),
        ("application/json", b"text", "a.json", None),
        ("application/pdf", archive("a"), "a.pdf", None),
        (XLSX, archive("word/document.xml"), "a.xlsx", None),
        (XLSX, archive("a"), "a.xlsx", None),
        ("text/csv", bytes(99), "a.csv", None),
        ("text/csv", b"<html>", "a.csv", None),
        ("text/plain", b"#!/bin/sh\n", "a.txt", None),
        ("model/stl", b"MZ\x90\x00", "a.stl", None),
    ],
)
def test_given_a_declaration_then_what_cannot_be_disproved_is_believed_and_a_lie_is_not(
    declared: str, content: bytes, name: str, real: str | None
) -> None:
    assert reconcile(declared, of(content), name) == real


@pytest.mark.parametrize("media_type", PROGRAMS)
def test_given_a_program_then_no_purpose_accepts_it(media_type: str) -> None:
    assert not any(purpose.accepts(media_type) for purpose in PURPOSES.values())


@pytest.mark.parametrize("media_type", ACTIVE)
def test_given_a_document_with_scripts_then_only_a_projects_material_may_be_one(media_type: str) -> None:
    assert [name for name, purpose in PURPOSES.items() if purpose.accepts(media_type)] == ["asset"]


def test_given_the_purposes_then_they_are_the_models() -> None:
    from quintet.db.models.files import FilePurpose

    assert tuple(PURPOSES) == get_args(FilePurpose)
