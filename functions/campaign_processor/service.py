"""Each message of the `campaigns` queue: an upload to be imported or undone, or an event to be acted on."""

import time
from collections.abc import Callable
from uuid import UUID

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from functions.campaign_processor import distribution, failed_rows, importing, reverting
from functions.campaign_processor.claims import claim, release
from functions.manifest import FUNCTIONS, lease
from quintet.events.consumer import Claimed, deliver
from quintet.events.types import EventType

SLICE_SECONDS = 300
"""How long one message is worked on; what is left goes back to the queue, so that no import keeps others waiting."""


def process(message: SQSRecord) -> None:
    """Act on one message."""
    told, until = message.json_body, time.monotonic() + SLICE_SECONDS

    def time_left() -> bool:
        return time.monotonic() < until

    if "upload_id" in told:
        work_on(UUID(told["upload_id"]), time_left)
    else:
        deliver(message, _acting(time_left), lease_seconds=lease(FUNCTIONS["campaign_processor"]))


def work_on(upload_id: UUID, time_left: Callable[[], bool]) -> None:
    """Import the upload, or undo it, unless that is done or being done. Whatever happens, it goes on from there."""
    claimed = claim(upload_id)
    if claimed is None:
        return
    work = reverting.revert if claimed.status == "reverting" else importing.run_import
    try:
        finished = work(claimed, time_left)
    except Exception:
        release(claimed, again=False)
        raise
    if not finished:
        release(claimed, again=True)


def _acting(time_left: Callable[[], bool]) -> Callable[[Claimed], None]:
    def effect(delivery: Claimed) -> None:
        if delivery.subject_id is None:
            return
        if delivery.type == EventType.CAMPAIGN_UPLOAD_CANCELLED:
            failed_rows.list_cancelled(delivery.subject_id)
        else:
            distribution.distribute(delivery.subject_id, time_left)

    return effect
