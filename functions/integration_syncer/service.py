"""Each message of the `integrations` queue: an integration to fetch from, a request to work on, or an event."""

import time
from uuid import UUID

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from functions.integration_syncer import asking, fetching, revoking
from functions.manifest import FUNCTIONS, lease
from quintet.events.consumer import deliver

SLICE_SECONDS = 100
"""How long one message is fetched for; what is left goes back to the queue, so that nobody keeps others waiting."""


def process(message: SQSRecord) -> None:
    """Act on one message."""
    told, until = message.json_body, time.monotonic() + SLICE_SECONDS
    if "integration_id" in told:
        fetching.fetch(UUID(told["integration_id"]), message, lambda: time.monotonic() < until)
    elif "request_id" in told:
        asking.work_on(UUID(told["request_id"]), message)
    else:
        deliver(message, revoking.revoke_and_remove, lease_seconds=lease(FUNCTIONS["integration_syncer"]))
