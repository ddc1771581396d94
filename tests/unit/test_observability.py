"""What the logger brings along."""

import subprocess
import sys


def test_given_no_function_when_something_logs_then_nothing_is_kept_from_its_process() -> None:
    # GIVEN a process that is no function: `make admin`, CDK
    program = "import gc, quintet.observability, email_validator; assert gc.isenabled()"
    # WHEN it imports the logger, THEN the collector runs and every library is there
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
