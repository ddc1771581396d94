"""Bodies of tickets."""

from pydantic import Field

from quintet.http.schemas import Output, Timestamp


class TicketRead(Output):
    """What opens one connection."""

    ticket: str = Field(description="Works once, until `expires_at`.")
    url: str = Field(description="Where to connect: this address, with `?ticket=`.")
    expires_at: Timestamp
