"""The SQL of reports: sums over tallies, one statement each.

Contacts are as they are now; `from` and `to` are about activities. What `event_dispatcher` has merged is one row for
each campaign, day, agent and outcome, so a report reads tens of thousands of rows, however many contacts there are.
"""

from datetime import date
from typing import Any, get_args
from uuid import UUID

from sqlalchemy.orm import Session

from functions.reports.schemas import Bucket
from quintet.db.models.campaigns import ContactStatus, Outcome
from quintet.db.reads import rows
from quintet.errors import Forbidden, NotFound
from quintet.identity.campaigns import owned, rights, visible
from quintet.identity.principal import Principal


def _by(column: str, values: Any) -> str:
    return ", ".join(
        f"coalesce(sum(n) FILTER (WHERE {column} = '{value}'), 0) AS {value}" for value in get_args(values)
    )


def _rate(part: str, whole: str) -> str:
    return f"round(({part})::numeric / nullif({whole}, 0), 4)"


_ACTIVITY = f"""coalesce(sum(n), 0) AS total, {_by("outcome", Outcome)}, coalesce(sum(seconds), 0) AS seconds,
    round(sum(seconds) / nullif(sum(n), 0), 1) AS average_handling_time"""

_CONTACTS = f"""
    SELECT row_to_json(c) FROM (
        SELECT *, {_rate("converted", "total")} AS conversion_rate,
               {_rate("contacted + converted + rejected", "total")} AS contact_rate
        FROM (SELECT coalesce(sum(n), 0) AS total, {_by("status", ContactStatus)} FROM contact_sums) s) c"""

# The week and the month of a timestamp without a zone do not depend on where the database is.
_BUCKETS = f"""
    SELECT coalesce(json_agg(b ORDER BY b.bucket), '[]') FROM (
        SELECT date_trunc(%(bucket)s, day::timestamp)::date AS bucket, {_ACTIVITY}
        FROM activity_sums WHERE by_day GROUP BY 1) b"""


def _activity_sums(key: str, condition: str) -> str:
    """One pass over the tallies: sums by day, and sums by what else the report has them by."""
    return f"""
        SELECT grouping(day) = 0 AS by_day, day, {key}, outcome, sum(n) AS n, sum(seconds) AS seconds
        FROM activity_tallies t
        WHERE day BETWEEN coalesce(%(from)s::date, '-infinity') AND coalesce(%(to)s::date, 'infinity') AND {condition}
        GROUP BY GROUPING SETS ((day, outcome), ({key}, outcome))"""


CAMPAIGN = f"""
    WITH campaign AS (
        SELECT c.id, c.name, c.status, c.start_date, c.end_date, c.archived_at IS NOT NULL AS archived,
               {owned("c")} AS owned
        FROM campaigns c WHERE c.id = %(id)s AND {visible("c")}
    ), contact_sums AS (
        SELECT status, sum(n) AS n FROM contact_tallies
        WHERE campaign_id = %(id)s AND (SELECT owned FROM campaign) GROUP BY status
    ), activity_sums AS (
        {_activity_sums("agent_id", "campaign_id = %(id)s AND (SELECT owned FROM campaign)")}
    ), imports AS (
        SELECT count(*) AS uploads, coalesce(sum(rows_total), 0) AS rows, coalesce(sum(rows_created), 0) AS created,
               coalesce(sum(rows_updated), 0) AS updated, coalesce(sum(rows_duplicate), 0) AS duplicate,
               coalesce(sum(rows_invalid), 0) AS invalid,
               {_rate("sum(rows_invalid)", "sum(rows_total)")} AS invalid_rate
        FROM campaign_uploads WHERE campaign_id = %(id)s AND NOT dry_run AND status <> 'reverted'
    )
    SELECT owned, CASE WHEN owned THEN json_build_object(
        'from', %(from)s::date, 'to', %(to)s::date, 'bucket', %(bucket)s::text,
        'campaign', json_build_object('id', id, 'name', name, 'status', status, 'start_date', start_date,
                                      'end_date', end_date, 'archived', archived),
        'contacts', ({_CONTACTS}),
        'activity', (SELECT row_to_json(a) FROM (SELECT {_ACTIVITY} FROM activity_sums WHERE by_day) a),
        'activity_by_bucket', ({_BUCKETS}),
        'activity_by_agent', (
            SELECT coalesce(json_agg(b ORDER BY b.total DESC, b.agent_id), '[]') FROM (
                SELECT s.agent_id, a.name AS agent_name, {_ACTIVITY}
                FROM activity_sums s LEFT JOIN agents a ON a.id = s.agent_id
                WHERE NOT by_day GROUP BY s.agent_id, a.name) b),
        'imports', (SELECT row_to_json(i) FROM imports i)
    )::text END AS report FROM campaign"""

_OWN = "c.created_by = %(caller)s"
_SHARED = f"""((SELECT entire FROM agent) OR t.campaign_id IN (SELECT c.id FROM campaigns c WHERE {_OWN}))"""

AGENT = f"""
    WITH agent AS (
        SELECT a.id, a.name, (%(manages)s OR a.user_id = %(caller)s) IS TRUE AS entire FROM agents a WHERE a.id = %(id)s
    ), contact_sums AS (
        SELECT status, sum(n) AS n FROM contact_tallies t WHERE agent_id = %(id)s AND {_SHARED} GROUP BY status
    ), activity_sums AS (
        {_activity_sums("campaign_id", f"agent_id = %(id)s AND {_SHARED}")}
    )
    SELECT json_build_object(
        'from', %(from)s::date, 'to', %(to)s::date, 'bucket', %(bucket)s::text,
        'agent', json_build_object('id', id, 'name', name),
        'contacts', ({_CONTACTS}),
        'activity', (SELECT row_to_json(a) FROM (SELECT {_ACTIVITY} FROM activity_sums WHERE by_day) a),
        'activity_by_bucket', ({_BUCKETS}),
        'activity_by_campaign', (
            SELECT coalesce(json_agg(b ORDER BY b.total DESC, b.campaign_id), '[]') FROM (
                SELECT s.campaign_id, c.name AS campaign_name, {_ACTIVITY}
                FROM activity_sums s JOIN campaigns c ON c.id = s.campaign_id
                WHERE NOT by_day GROUP BY s.campaign_id, c.name) b)
    )::text AS report
    FROM agent WHERE entire
        OR EXISTS (SELECT FROM campaign_assignments s JOIN campaigns c ON c.id = s.campaign_id
                   WHERE s.agent_id = %(id)s AND {_OWN})
        OR EXISTS (SELECT FROM contact_sums WHERE n <> 0)
        OR EXISTS (SELECT FROM campaigns c WHERE {_OWN} AND EXISTS (
                   SELECT FROM activity_tallies t WHERE t.campaign_id = c.id AND t.agent_id = %(id)s))"""


def campaign_report(
    session: Session, caller: Principal, campaign_id: UUID, *, start: date | None, end: date | None, bucket: Bucket
) -> bytes:
    """The report of a campaign as JSON, for whoever created it; 403 for its agents, 404 for everybody else."""
    found = rows(session, CAMPAIGN, _params(caller, campaign_id, start, end, bucket))
    if not found:
        raise NotFound
    [row] = found
    if not row.owned:
        raise Forbidden("The report of a campaign is for whoever created it.")
    report: str = row.report
    return report.encode()


def agent_report(
    session: Session, caller: Principal, agent_id: UUID, *, start: date | None, end: date | None, bucket: Bucket
) -> bytes:
    """The report of an agent as JSON: to the agent all of it, to whoever created campaigns they are assigned to, or
    have contacts or activities in, what is about those; 404 for everybody else.
    """
    found = rows(session, AGENT, _params(caller, agent_id, start, end, bucket))
    if not found:
        raise NotFound
    report: str = found[0].report
    return report.encode()


def _params(caller: Principal, id: UUID, start: date | None, end: date | None, bucket: Bucket) -> dict[str, object]:
    return {**rights(caller), "id": id, "from": start, "to": end, "bucket": bucket}
