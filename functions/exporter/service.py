"""From a request to its archive. Broken off anywhere, it is begun again from the beginning; done, it stays done."""

from uuid import UUID

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from sqlalchemy import func, select

from functions.exporter.archive import write_archive
from functions.exporter.multipart import MultipartFile, abort
from functions.manifest import FUNCTIONS, lease
from quintet.db.models.exports import Export
from quintet.db.session import writing
from quintet.events.consumer import Claimed, deliver
from quintet.events.record import record, record_all, scope_of
from quintet.events.types import EventType
from quintet.exports import KEPT, UNDER_WAY, removed_export


def process(message: SQSRecord) -> None:
    """Make the export that one queue message names, unless that is done."""
    deliver(message, _export, lease_seconds=lease(FUNCTIONS["exporter"]))


def _export(event: Claimed) -> str | None:
    assert event.subject_id is not None
    found = _begin(event.subject_id)
    if found is None:
        return "It is over."
    if found.upload_id:  # of somebody who died
        abort(found.bucket, found.key, found.upload_id)
    target = MultipartFile(found.bucket, found.key, content_type="application/zip")
    _began(found.id, target.upload_id)
    try:
        write_archive(target, found.user_id)
        version_id = target.complete()
    except BaseException:
        abort(found.bucket, found.key, target.upload_id)
        raise
    _finish(found, target.size, version_id)
    return None


def _begin(export_id: UUID) -> Export | None:
    with writing() as session:
        export = session.scalar(
            select(Export).where(Export.id == export_id, Export.status.in_(UNDER_WAY)).with_for_update()
        )
        if export is not None:
            export.apply({"status": "running"})
            session.flush()
            session.expunge(export)
    return export


def _began(export_id: UUID, upload_id: str) -> None:
    """Write down what to abort should this be broken off."""
    with writing() as session:
        export = session.get(Export, export_id, with_for_update=True)
        if export is not None:
            export.upload_id = upload_id


def _finish(found: Export, size: int, version_id: str | None) -> None:
    with writing() as session:
        export = session.scalar(
            select(Export).where(Export.id == found.id, Export.status.in_(UNDER_WAY)).with_for_update()
        )
        if export is None:  # it was given up, or the account is gone, and takes this with it
            record_all(session, [removed_export(found.id, found.user_id, found.bucket, found.key, None)])
            return
        export.apply({"status": "ready", "size": size, "version_id": version_id, "upload_id": None})
        export.finished_at = func.now()
        export.expires_at = func.now() + KEPT
        scope = scope_of("user", found.user_id)
        record(session, EventType.EXPORT_READY, subject=found.id, scope=scope, data={"size": size})
