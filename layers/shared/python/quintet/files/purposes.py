"""What files may be for, and what each purpose allows: the one table of limits and types.

Every download is an attachment from the storage's own origin, so what a file contains never runs with the
API's. What the table refuses is what harms whoever opens the download.
"""

from dataclasses import dataclass

from quintet.db.models.files import FilePurpose

MB = 1024**2
GB = 1024**3

GENERIC = frozenset({"application/octet-stream", "binary/octet-stream"})
"""Declared by those who do not know; says nothing that could be a lie."""

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"

PROGRAMS = (
    "application/vnd.microsoft.portable-executable",
    "application/x-executable",
    "application/x-mach-binary",
    "application/x-msdownload",
    "application/x-msi",
    "application/x-bat",
    "application/x-sh",
    "application/java-archive",
    "application/vnd.android.package-archive",
)
"""Nobody needs them here, and people open what a colleague sent."""

ACTIVE = ("text/html", "application/xhtml+xml", "image/svg+xml", "text/javascript", "application/javascript")
"""Documents with scripts: fine as a project's material, a phishing page in a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeRules:
    """`allows` and `refuses` are media types, or their beginnings up to the slash; refusing wins."""

    max_size: int  # bytes
    allows: tuple[str, ...] = ("",)
    refuses: tuple[str, ...] = PROGRAMS

    def accepts(self, media_type: str) -> bool:
        """Whether a file of this real type may serve the purpose."""
        return media_type.startswith(self.allows) and media_type not in self.refuses


PURPOSES: dict[FilePurpose, PurposeRules] = {
    # Designs, models, builds: any format there is. 5 GB is also what S3 takes in one POST.
    "asset": PurposeRules(max_size=5 * GB),
    # What people send each other.
    "attachment": PurposeRules(
        max_size=100 * MB,
        allows=(
            "image/",
            "audio/",
            "video/",
            "text/",
            "application/pdf",
            "application/rtf",
            "application/json",
            "application/zip",
            "application/gzip",
            "application/msword",
            "application/vnd.ms-",
            "application/vnd.openxmlformats-officedocument.",
            "application/vnd.oasis.opendocument.",
        ),
        refuses=PROGRAMS + ACTIVE,
    ),
    # Contacts, as the import reads them.
    "campaign_data": PurposeRules(
        max_size=2 * GB,
        allows=("text/csv", "text/plain", "text/tab-separated-values", XLSX),
    ),
}


def essence(content_type: str) -> str:
    """A media type without its parameters, in lower case (RFC 9110, section 8.3.1)."""
    return content_type.partition(";")[0].strip().lower()
