"""What a Lambda layer can do without: pure functions over an installed `site-packages`."""

import shutil
import struct
from collections.abc import Collection
from pathlib import Path

_UNUSED = (
    "bin",
    ".lock",
    "**/tests",
    "**/testing",  # SQLAlchemy's and Alembic's own test kits
    "annotated_types/test_cases.py",
    "anyio/pytest_plugin.py",
    "fastapi/.agents",  # what it tells coding assistants
    "**/*.pyi",
    "**/*.pyx",
    "**/*.pxd",
    "**/*.[ch]",
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/direct_url.json",
    "*.dist-info/sboms",
    "dateutil/zoneinfo/*.tar.gz",  # of time zones, botocore asks it for UTC alone
    "boto3/data",  # the models of boto3's resources; we use clients
    "boto3/examples",
    "botocore/cacert.pem",  # certifi's is there, and preferred
    "aws_lambda_powertools/event_handler/openapi/swagger_ui",
    "sqlalchemy/dialects/m*sql",
    "sqlalchemy/dialects/oracle",
    "sqlalchemy/dialects/sqlite",
    "pygal/test",
    "pydantic/v1",  # FastAPI imports it wherever it is found, for nothing: 50 ms of a cold start
    "cffi",  # argon2 and cryptography need its compiled back end only
    "pycparser",
    "phonenumbers/geodata",  # we ask whether a number is one: not where it is, whose network it is in,
    "phonenumbers/carrierdata",
    "phonenumbers/tzdata",
    "phonenumbers/shortdata/region_*.py",  # nor whom one can call in an emergency
    # pywebpush imports aiohttp, and sends by requests, whose guesses at character sets nobody reads. Each has a form in
    # Python too.
    *(
        f"{package}/**/*.so"
        for package in ("aiohttp", "charset_normalizer", "frozenlist", "multidict", "propcache", "yarl")
    ),
    "aiohttp/web*.py",
    "aiohttp/worker.py",
    "aiohttp/test_utils.py",
    "aiohttp/pytest_plugin.py",
    # Of Authlib the client alone is used, over requests; its own JOSE is deprecated for joserfc.
    *(f"authlib/integrations/{framework}_*" for framework in ("django", "flask", "httpx", "sqla", "starlette")),
    "authlib/jose",
    "dns",  # email-validator looks domains up when asked to, and we do not ask
)


def slim(packages: Path, *, aws_services: Collection[str]) -> None:
    """Delete from `packages` what no function reads; of botocore's service models keep `aws_services`."""
    for pattern in _UNUSED:
        for path in packages.glob(pattern):
            _remove(path)
    for model in (packages / "botocore" / "data").iterdir():
        if model.is_dir() and model.name not in aws_services:
            _remove(model)
    for library in packages.rglob("*.so*"):
        strip(library)


def strip(library: Path) -> None:
    """Cut an ELF file after its last segment: debug information and section headers, which no loader reads.

    `strip` of the machine that builds does not know the architecture that runs. A file that is not a 64-bit
    little-endian ELF file stays as it is.
    """
    content = bytearray(library.read_bytes())
    if content[:6] != b"\x7fELF\x02\x01":
        return
    (table,) = struct.unpack_from("<Q", content, 32)  # e_phoff
    size, count = struct.unpack_from("<HH", content, 54)  # e_phentsize, e_phnum
    segments = [struct.unpack_from("<Q16xQ", content, table + index * size + 8) for index in range(count)]
    end = max(offset + length for offset, length in segments)  # p_offset, p_filesz
    struct.pack_into("<Q", content, 40, 0)  # e_shoff
    struct.pack_into("<HH", content, 60, 0, 0)  # e_shnum, e_shstrndx
    library.write_bytes(content[:end])


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
