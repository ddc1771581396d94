"""Bodies of deletions."""

from typing import Annotated

from pydantic import Field

from quintet.http.schemas import Input, Output, Timestamp


class AccountDelete(Input):
    """Proof that it is the account's owner who asks; not needed within ten minutes of a sign-in."""

    password: Annotated[str, Field(min_length=1, max_length=1024)]


class AccountLeaving(Output):
    """The account is disabled, and can be taken back by the link that is mailed."""

    erased_after: Timestamp = Field(description="From then on nothing tells any more who it was.")
