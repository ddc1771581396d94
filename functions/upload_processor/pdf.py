"""The text of a PDF, by a process of its own.

One page can be made to take any time and any memory. That process is ended then, and takes nobody's upload with it.
Standard library only, and pypdf: it starts anew for each.
"""

import resource
import subprocess
import sys
from contextlib import suppress
from io import BytesIO
from itertools import islice

MAX_PAGES = 300
SECONDS = 40
"""A batch of the queue is done in time even if every file of it takes as long."""
MEMORY = 640 * 1024 * 1024
"""Bytes of addresses, in a function of 1024 MB."""
_CHILD = f"import sys; sys.path[:] = sys.argv[3:]; from {__name__} import main; main(*map(int, sys.argv[1:3]))"


def text_of(content: bytes, most: int) -> tuple[str, str]:
    """The text of its pages, up to so many characters, as far as it can be read, and why no further; "" if it can."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, str(most), str(MEMORY), *sys.path],
            input=content,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(errors="ignore"), type(late).__name__
    error = done.stderr.decode(errors="replace").strip()[-100:] or str(done.returncode)
    return done.stdout.decode(errors="ignore"), error if done.returncode else ""


def main(most: int, memory: int) -> None:
    """What the process does: the PDF comes from stdin, its text goes to stdout, why it breaks off to stderr."""
    import logging

    from pypdf import PdfReader  # 200 ms

    with suppress(ValueError, OSError):  # not every system has it
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    logging.disable()
    try:
        for page in islice(PdfReader(BytesIO(sys.stdin.buffer.read())).pages, MAX_PAGES):
            text = page.extract_text()[:most]
            most -= len(text)
            sys.stdout.buffer.write(f"{text}\n\n".encode(errors="replace"))
            sys.stdout.buffer.flush()
            if not most:
                break
    except Exception as error:  # the library's errors are as many as there are ways to break a PDF
        sys.exit(type(error).__name__)
