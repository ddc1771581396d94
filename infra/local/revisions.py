"""The project as it was: commits of this repository, laid out in folders."""

import subprocess
from pathlib import Path

from infra.local.state import ROOT

VERSIONS = "functions/db_migrator/versions"


def checked_out(revision: str, folder: Path) -> Path:
    """The tree of a commit, written into `folder`; answers that."""
    folder.mkdir(parents=True, exist_ok=True)
    # Not tarfile: without a filter 3.12 warns, and the first releases of 3.11 know none.
    subprocess.run(["tar", "-x", "-C", folder], input=_git("archive", "--format=tar", revision), check=True, timeout=60)
    return folder


def exists(revision: str) -> bool:
    """Whether the history, as far as it is here, has this commit."""
    try:
        return bool(_git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"))
    except (subprocess.CalledProcessError, FileNotFoundError):
        return False


def before_newest_migration() -> str | None:
    """The commit that was deployed before the newest migration was: None where the history does not reach so far.

    What a merge brought was deployed by the merge, so it is looked for along the first parents. A migration that is
    not committed yet comes after the last commit.
    """
    newest = max(path.name for path in (ROOT / VERSIONS).glob("[0-9]*.py"))
    try:
        brought = ("log", "-1", "--format=%H", "--no-patch", "--first-parent", "--diff-merges=first-parent")
        added = _git(*brought, "--diff-filter=A", "--", f"{VERSIONS}/{newest}").decode().strip()
        # In a shallow clone all that there is was added by its oldest commit, which has no parent.
        return _git("rev-parse", "--verify", "--quiet", f"{added}^" if added else "HEAD").decode().strip()
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True, timeout=60).stdout
