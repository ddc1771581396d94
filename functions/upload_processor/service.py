"""Each message of the `uploads` queue: an object that has arrived, a file whose text is to be read, or a deleted one
whose object is to go.

A file is decided once, for one version of its object; every later version is deleted. All of it can be
repeated: what S3 announces twice, or in another order, ends the same.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus
from uuid import UUID

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from functions.manifest import FUNCTIONS, lease
from functions.upload_processor.detection import FIRST, detect
from functions.upload_processor.media_types import NAMES, ZIP, reconcile
from functions.upload_processor.objects import StoredObject, delete_everything, delete_version, look_up
from functions.upload_processor.texts import extract
from quintet.db.models.files import File
from quintet.db.partitions import time_of
from quintet.db.session import reading, writing
from quintet.events.consumer import Claimed, deliver, started_by
from quintet.events.record import record as record_event
from quintet.events.types import EventType
from quintet.files.events import scope_of_file
from quintet.files.objects import file_id_of
from quintet.files.purposes import PURPOSES, XLSX, essence
from quintet.imports.uploads import file_decided
from quintet.observability import logger

_UNDECIDED = ("pending", "uploaded")
_COMMITTED_BY = timedelta(minutes=1)
"""After its id was made, by when a file's row is there if ever: the API's requests end sooner."""
_GLANCES = (0, 0.1, 0.4, 1.5)
"""Seconds to wait before each look for it."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What S3 says about an object that came."""

    bucket: str
    key: str
    version_id: str | None
    sequencer: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out about an object: its real type, or why it is refused."""

    stored: StoredObject
    detected_type: str | None = None
    reason: str | None = None


class NotYetKnownError(Exception):
    """An object has come before its file's row: the message is to come again."""


def process(message: SQSRecord) -> None:
    """Act on one message."""
    told = message.json_body
    if "event_id" in told:
        deliver(message, _act_on, lease_seconds=lease(FUNCTIONS["upload_processor"]))
    elif "unread_file_id" in told:
        extract(UUID(told["unread_file_id"]))
    elif told.get("Event") == "s3:TestEvent":
        logger.info("S3 says that its notifications work.")
    else:
        for notification in told["Records"]:
            if notification["eventName"].removeprefix("s3:").startswith("ObjectCreated:"):
                _check(message, _arrival(notification["s3"]))


def _arrival(s3: Mapping[str, Any]) -> Arrival:
    item = s3["object"]
    return Arrival(s3["bucket"]["name"], unquote_plus(item["key"]), item.get("versionId"), item.get("sequencer"))


def _act_on(delivery: Claimed) -> str | None:
    if delivery.type == EventType.FILE_READY:
        return extract(delivery.subject_id)
    _remove_object(delivery)
    return None


def _remove_object(delivery: Claimed) -> None:
    delete_everything(delivery.data["bucket"], delivery.data["key"], delivery.data.get("upload_id"))


def _check(message: SQSRecord, arrival: Arrival) -> None:
    file = _file_of(arrival)
    if file is None:
        _discard_unknown(arrival)
    elif file.status in _UNDECIDED:
        stored = look_up(arrival.bucket, arrival.key, arrival.version_id)
        if stored is None:
            logger.info("The object is gone again.", key=arrival.key)
        else:
            _decide(message, arrival, examine(file, stored))
    elif _unused(file, arrival.version_id):
        logger.info("A version that is not used is deleted.", key=arrival.key, version_id=arrival.version_id)
        delete_version(arrival.bucket, arrival.key, arrival.version_id)


def _file_of(arrival: Arrival) -> File | None:
    """The object's file, or None when it has none any more, or never had.

    What is uploaded through the API arrives a moment before its row is committed: such a one is waited for, and
    comes again if it takes longer.
    """
    for seconds in _GLANCES:
        time.sleep(seconds)
        with reading() as session:
            file = session.scalar(select(File).where(File.bucket == arrival.bucket, File.key == arrival.key))
        made_at = _made_at(arrival.key)
        if file is not None or made_at is None or made_at < datetime.now(UTC) - _COMMITTED_BY:
            return file
    raise NotYetKnownError(arrival.key)


def _made_at(key: str) -> datetime | None:
    """When the file's id, which is in the key, was made; None when the key is not one of ours."""
    file_id = file_id_of(key)
    return time_of(file_id) if file_id else None


def _discard_unknown(arrival: Arrival) -> None:
    if _made_at(arrival.key) is None:
        logger.warning("No file has this object; it is left alone.", key=arrival.key)
    else:
        logger.info("The object's file was deleted; the object is deleted too.", key=arrival.key)
        delete_version(arrival.bucket, arrival.key, arrival.version_id)


def examine(file: File, stored: StoredObject) -> Verdict:
    """Compare an object with what was declared of it and what its purpose allows. Calls S3, not the database."""
    if stored.size == 0:
        return Verdict(stored, reason="The file is empty.")
    if stored.size != file.size:
        return Verdict(stored, reason=f"The file has {stored.size} bytes, but {file.size} were announced.")
    if _differs(file, stored):
        return Verdict(stored, reason="The content differs from the checksum that was announced. Upload it again.")
    detected = detect(
        stored.read(0, FIRST),
        lambda: stored.read(max(0, stored.size - FIRST), FIRST),
        whole=stored.size <= FIRST,
    )
    declared = essence(file.content_type)
    real = reconcile(declared, detected, file.file_name)
    if real is None:
        return Verdict(
            stored,
            reason=f"The file says it is {NAMES.get(declared, declared)}, but it is {_name(detected, file)}.",
        )
    if not PURPOSES[file.purpose].accepts(real):
        return Verdict(
            stored, reason=f"The file is {_name(real, file)}, which is not accepted for the purpose {file.purpose}."
        )
    return Verdict(stored, detected_type=real)


def _name(real: str, file: File) -> str:
    announced = essence(file.content_type) == XLSX or file.file_name.lower().endswith(".xlsx")
    return NAMES.get(real, real) + (", or a workbook that is cut off" if real == ZIP and announced else "")


def _differs(file: File, stored: StoredObject) -> bool:
    if file.sha256 is not None:
        return file.sha256 != (stored.sha256 or stored.compute_sha256())
    if file.crc64nvme is not None and stored.crc64nvme is None:
        logger.warning("S3 kept no CRC-64/NVME to compare with.", file_id=str(file.id))
        return False
    return file.crc64nvme not in (None, stored.crc64nvme)


def _decide(message: SQSRecord, arrival: Arrival, verdict: Verdict) -> None:
    """Write the verdict down, unless the file was decided or deleted meanwhile; then delete what is refused."""
    with writing() as session:
        started_by(session, message)
        statement = select(File).where(File.bucket == arrival.bucket, File.key == arrival.key)
        file = session.scalar(statement.with_for_update())
        if file is None:
            return  # deleted, and with it all versions there were
        if file.status in _UNDECIDED:
            file.status = "rejected" if verdict.reason else "ready"
            file.reason, file.detected_type = verdict.reason, verdict.detected_type
            file.version_id, file.sequencer = verdict.stored.version_id, arrival.sequencer
            file.uploaded_at = file.uploaded_at or func.now()
            file.upload_id = None
            file.touch()
            _record(session, file)
            if file.purpose == "campaign_data":
                file_decided(session, file)
        unused = _unused(file, verdict.stored.version_id)
    if unused:
        delete_version(arrival.bucket, arrival.key, verdict.stored.version_id)


def _record(session: Session, file: File) -> None:
    type, data = (
        (EventType.FILE_REJECTED, {"reason": file.reason})
        if file.reason
        else (EventType.FILE_READY, {"content_type": file.detected_type, "size": file.size})
    )
    record_event(session, type, subject=file.id, scope=scope_of_file(file), data=data)


def _unused(file: File, version_id: str | None) -> bool:
    """Whether a version of a decided file is not the checked one, or is the one that was refused."""
    return version_id is not None and (file.status == "rejected" or version_id != file.version_id)
