"""Lambda's runtime in small: finds layers and function where Lambda unzips them, and gives the handler its events.

    python -I -S lambda_runtime.py <opt> <task> <handler> <timeout in seconds>

`-I -S` leaves the standard library alone on the path. Standard input is a list of events, standard output the list of
answers, both JSON; what is logged goes to standard error. It fails when something was imported from elsewhere.
"""

import errno
import importlib
import json
import os
import sys
import time
import uuid
from types import SimpleNamespace
from typing import Any

OPT, TASK = sys.argv[1:3]
STANDARD_LIBRARY = os.path.dirname(os.__file__)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def read_only(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse to change what is unzipped, as Lambda's file system does."""
    if event == "open" and isinstance(arguments[0], str) and arguments[2] & _WRITING:
        path = os.path.abspath(arguments[0])
        if path.startswith((OPT, TASK)):
            raise OSError(errno.EROFS, "Lambda's file system is read-only", path)


def strangers() -> list[str]:
    """Imported modules that are neither of the artefact nor of the standard library."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return sorted(
        file
        for file in files
        if file
        and not file.startswith((f"{OPT}/", f"{TASK}/"))
        and file != __file__
        and (not file.startswith(STANDARD_LIBRARY) or "-packages" in file)
    )


def main() -> None:
    """Import the handler, and invoke it once for each event."""
    handler, timeout = sys.argv[3], float(sys.argv[4])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the log
    sys.addaudithook(read_only)
    sys.path[:0] = [TASK, f"{OPT}/python"]
    module, _, name = handler.rpartition(".")
    function = getattr(importlib.import_module(module), name)
    answered = []
    for event in json.load(sys.stdin):
        ends = time.monotonic() + timeout
        context = SimpleNamespace(
            function_name=os.environ["AWS_LAMBDA_FUNCTION_NAME"],
            memory_limit_in_mb=int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]),
            aws_request_id=str(uuid.uuid4()),
            invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:"
            + os.environ["AWS_LAMBDA_FUNCTION_NAME"],
            get_remaining_time_in_millis=lambda ends=ends: max(0, int((ends - time.monotonic()) * 1000)),
        )
        answered.append(function(event, context))
    if found := strangers():
        sys.exit(f"Imported from outside the artefact: {found[:5]}")
    json.dump(answered, answers)
    answers.flush()


if __name__ == "__main__":
    main()
