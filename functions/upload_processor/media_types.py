"""The media types we can tell from a file's content, and what people call them."""

from quintet.files.purposes import DOCX, GENERIC, PPTX, XLSX

UNKNOWN = "application/octet-stream"
TEXT = "text/plain"
ZIP = "application/zip"

NAMES: dict[str, str] = {
    "application/pdf": "a PDF",
    "application/rtf": "an RTF document",
    "application/postscript": "a PostScript document",
    DOCX: "a Word document",
    XLSX: "an Excel workbook",
    PPTX: "a PowerPoint presentation",
    "application/vnd.ms-excel.sheet.binary.macroenabled.12": "an Excel workbook",
    "application/epub+zip": "an EPUB book",
    "application/x-ole-storage": "an Office document from before 2007, or one with a password",
    ZIP: "a ZIP archive",
    "application/gzip": "a gzip archive",
    "application/x-7z-compressed": "a 7-Zip archive",
    "application/vnd.rar": "a RAR archive",
    "application/x-bzip2": "a bzip2 archive",
    "application/x-xz": "an xz archive",
    "application/json": "JSON",
    "application/xml": "XML",
    TEXT: "text",
    "text/html": "an HTML page",
    "image/svg+xml": "an SVG image",
    "image/png": "a PNG image",
    "image/jpeg": "a JPEG image",
    "image/gif": "a GIF image",
    "image/webp": "a WebP image",
    "image/avif": "an AVIF image",
    "image/heic": "a HEIC image",
    "image/heif": "a HEIF image",
    "image/tiff": "a TIFF image",
    "image/vnd.adobe.photoshop": "a Photoshop image",
    "audio/mpeg": "an MP3 recording",
    "audio/wav": "a WAV recording",
    "audio/flac": "a FLAC recording",
    "application/ogg": "an Ogg recording",
    "audio/mp4": "an MP4 recording",
    "video/mp4": "an MP4 video",
    "video/quicktime": "a QuickTime video",
    "video/webm": "a WebM video",
    "video/x-msvideo": "an AVI video",
    "font/woff2": "a web font",
    "font/woff": "a web font",
    "application/vnd.microsoft.portable-executable": "a Windows program",
    "application/x-executable": "a Linux program",
    "application/x-mach-binary": "a macOS program",
    "application/x-sh": "a script",
    "application/java-archive": "a Java program",
    "application/vnd.android.package-archive": "an Android app",
    UNKNOWN: "of no known type",
}
"""Every type that detection can answer, but for the many OpenDocument ones."""

_ALIASES: dict[str, str] = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-ms-bmp": "image/bmp",
    "image/x-bmp": "image/bmp",
    "image/x-photoshop": "image/vnd.adobe.photoshop",
    "application/x-pdf": "application/pdf",
    "text/rtf": "application/rtf",
    "text/json": "application/json",
    "text/xml": "application/xml",
    "text/x-csv": "text/csv",
    "application/csv": "text/csv",
    "application/x-zip": ZIP,
    "application/x-zip-compressed": ZIP,
    "application/x-gzip": "application/gzip",
    "application/x-rar-compressed": "application/vnd.rar",
    "application/x-bzip": "application/x-bzip2",
    "audio/mp3": "audio/mpeg",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "video/avi": "video/x-msvideo",
    "application/x-msdownload": "application/vnd.microsoft.portable-executable",
    "application/x-dosexec": "application/vnd.microsoft.portable-executable",
}
"""Other spellings, of browsers and of old."""

_FAMILIES: tuple[frozenset[str], ...] = (
    frozenset(
        "video/mp4 audio/mp4 audio/x-m4a audio/aac video/x-m4v video/quicktime video/3gpp audio/3gpp".split()  # noqa: SIM905
    ),
    frozenset({"image/heic", "image/heif", "image/avif"}),
    frozenset({"application/ogg", "audio/ogg", "video/ogg", "audio/opus"}),
    frozenset({"video/webm", "audio/webm", "video/x-matroska", "audio/x-matroska"}),
    frozenset({"font/woff", "font/woff2"}),
    frozenset({"application/vnd.ms-excel", XLSX, "application/vnd.ms-excel.sheet.binary.macroenabled.12"}),
    frozenset({"application/msword", DOCX}),
    frozenset({"application/vnd.ms-powerpoint", PPTX}),
)
"""One container with several names, whose inside is not looked at; and Office, old and new."""

_TEXTUAL = frozenset(
    """application/javascript application/sql application/yaml application/x-yaml
    application/toml application/x-ndjson model/obj model/stl model/step application/step""".split()  # noqa: SIM905
)
"""Text, though the name does not begin with `text/`."""

_CONTAINERS = frozenset({ZIP, "application/x-ole-storage", UNKNOWN})
"""Many types look like these from outside."""
_STRUCTURED = frozenset({"application/json", "application/xml"})
"""Many kinds of text look like these."""

_PACKED = frozenset({DOCX, XLSX, PPTX, "application/epub+zip", "application/java-archive"})
_OPENDOCUMENT = "application/vnd.oasis.opendocument."
"""ZIP archives by another name."""

TEXT_SUFFIXES = {".csv": "text/csv", ".tsv": "text/tab-separated-values", ".md": "text/markdown"}


def canonical(media_type: str) -> str:
    """The one spelling of a type."""
    return _ALIASES.get(media_type, media_type)


def reconcile(declared: str, detected: str, file_name: str) -> str | None:
    """The real type, or None when what was declared is not true.

    Where the content shows no more than a container (text, ZIP), the declared type is believed, unless it is one
    that the content would have shown.
    """
    declared = canonical(declared)
    if detected == TEXT and declared in GENERIC | {TEXT}:
        return TEXT_SUFFIXES.get(file_name[file_name.rfind(".") :].lower(), TEXT)
    if declared in GENERIC or declared == detected:
        return detected
    if any(declared in family and detected in family for family in _FAMILIES):
        return detected
    if detected == TEXT and declared == "application/vnd.ms-excel":
        return "text/csv"  # so browsers on Windows call it
    if detected in _STRUCTURED | {TEXT} and _is_textual(declared):
        return declared
    if detected in _CONTAINERS and declared not in NAMES and not declared.startswith("text/"):
        return declared
    if declared == ZIP and (detected in _PACKED or detected.startswith(_OPENDOCUMENT)):
        return detected
    return None


def _is_textual(declared: str) -> bool:
    """Whether it is a kind of text whose content would not have shown it."""
    if declared in NAMES:
        return declared in (TEXT, "text/html", "application/xml")
    return declared.startswith("text/") or declared in _TEXTUAL or declared.endswith(("+json", "+xml"))
