"""The SQL of searches, put together of `sources`.

How many rows of a table have the words is probed first. Few of them are looked up in their index, and those that the
caller may read are ranked. Of many, it is the caller's own scopes that are walked, the newest first, until enough are
found. Either way the cost does not grow with the tables: the words are no column, so that the planner knows how
frequent they are, and the way that is not taken is not even begun.
"""

from collections.abc import Collection
from functools import cache

from sqlalchemy.orm import Session

from functions.search.schemas import Found, Kind
from functions.search.sources import SHOWN, SOURCES, Source
from quintet.db.reads import rows
from quintet.errors import BadRequest
from quintet.highlights import highlight
from quintet.http.schemas import Page
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest, decode_rank, encode_rank

FEW = 10_000
"""Rows of a table that are all looked at."""
ENOUGH = 200
"""Of a source, when more than those have the words."""

_WORDS = "words_sought(%(q)s)"
_MEANT = f"numnode({_WORDS}) > 0 AND querytree({_WORDS}) <> 'T'"
_MATCHES = f"r.search @@ {_WORDS} AND {_MEANT}"

_PROBE = f"""
    {{table}}_probe AS MATERIALIZED (
        SELECT count(*) <= {FEW} AS few FROM (SELECT FROM {{table}} r WHERE {_MATCHES} LIMIT {FEW} + 1) probed)"""

_HITS = f"""
    SELECT '{{kind}}' AS type, r.id, ts_rank_cd(r.search, {_WORDS}) AS rank FROM (
        SELECT r.id, r.search FROM {{table}} r
        WHERE (SELECT few FROM {{table}}_probe) AND {_MATCHES} AND {{kept}} AND {{readable}}
        UNION ALL ({{newest}})) r"""

_NEWEST = f"""
    SELECT r.id, r.search FROM {{table}} r
    WHERE NOT (SELECT few FROM {{table}}_probe) AND {_MATCHES} AND {{kept}} AND {{all}}
    ORDER BY r.id DESC LIMIT {ENOUGH}"""

# Compared by range: with an equation the planner may walk all there is from the newest on, which passes very many when
# those of the scope are old. By the function that is behind the operator: by `@@` the planner may look the words up for
# each scope anew.
_NEWEST_WITHIN = f"""
    SELECT r.id, r.search FROM ({{scopes}} ORDER BY scope DESC) s CROSS JOIN LATERAL (
        SELECT r.id, r.search FROM {{table}} r
        WHERE r.{{column}} BETWEEN s.scope AND s.scope AND {{more}} AND {{kept}}
            AND ts_match_vq(r.search, {_WORDS}) AND {_MEANT}
        ORDER BY r.{{column}} DESC, r.id DESC LIMIT {ENOUGH}) r
    WHERE NOT (SELECT few FROM {{table}}_probe) LIMIT {ENOUGH}"""

_ITEM = """
    SELECT {title} AS title, ARRAY[{texts}] AS texts, '{path}' || r.id AS path, r.created_at, r.updated_at
    FROM {table} r {joins} WHERE p.type = '{kind}' AND r.id = p.id"""


def search(
    session: Session, caller: Principal, paging: PageRequest, *, q: str, kinds: Collection[str], base: str
) -> bytes:
    """A page of what has these words and the caller may read, the best first. `base` is what addresses begin with."""
    rank, id = decode_rank(paging.cursor)
    params = {"q": q, "caller": caller.user_id, "rank": rank, "id": id, "limit": paging.limit}
    found = rows(session, search_sql(caller, kinds), params)
    if found[0].excludes:
        raise BadRequest.at("query/q", "Send a word that is to be there; by what is not there alone nothing is found.")
    kept = [row for row in found[: paging.limit] if row.id is not None]  # one row of nulls is an empty page
    items = [
        Found(
            type=row.type,
            id=row.id,
            title=row.title,
            highlight=_highlight(row.texts, q),
            href=base + row.path,
            rank=row.rank,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in kept
    ]
    following = encode_rank(kept[-1].rank, kept[-1].id) if len(found) > paging.limit else None
    return Page[Found](items=items, next_cursor=following).model_dump_json().encode()


def search_sql(caller: Principal, kinds: Collection[str]) -> str:
    """The statement for things of these kinds."""
    wanted = [source for source in SOURCES if source.kind in kinds]
    all_of = frozenset(source.sees_all for source in wanted if source.sees_all and caller.can(source.sees_all))
    return _statement(tuple(kind for kind in SHOWN if kind in kinds), all_of)


@cache
def _statement(kinds: tuple[Kind, ...], all_of: frozenset[Permission]) -> str:
    sources = [source for source in SOURCES if source.kind in kinds]
    probes = ",".join(_PROBE.format(table=table) for table in dict.fromkeys(source.table for source in sources))
    hits = " UNION ALL ".join(_hits(source, all_of) for source in sources)
    items = " UNION ALL ".join(
        _ITEM.format(kind=kind, table=s.table, title=s.title, texts=s.texts, path=s.path, joins=s.joins)
        for kind, s in SHOWN.items()
        if kind in kinds
    )
    return f"""
        WITH {probes}, page AS MATERIALIZED (
            SELECT * FROM ({hits}) found WHERE (rank, id) < (%(rank)s::float4, %(id)s)
            ORDER BY rank DESC, id DESC LIMIT %(limit)s + 1)
        SELECT v.excludes, p.type, p.id, p.rank, p.title, p.texts, p.path, p.created_at, p.updated_at
        FROM (SELECT querytree({_WORDS}) = 'T' AS excludes) v
        LEFT JOIN (SELECT * FROM page p CROSS JOIN LATERAL ({items}) item) p ON true
        ORDER BY p.rank DESC, p.id DESC"""


def _hits(source: Source, all_of: frozenset[Permission]) -> str:
    everything = source.all if source.sees_all in all_of else "" if source.scopes else source.more
    within = f"EXISTS (SELECT FROM ({source.scopes}) s WHERE r.{source.column} = s.scope) AND {source.more}"
    newest = (_NEWEST if everything else _NEWEST_WITHIN).format(
        table=source.table,
        kept=source.kept,
        all=everything,
        scopes=source.scopes,
        column=source.column,
        more=source.more,
    )
    return _HITS.format(
        kind=source.kind, table=source.table, kept=source.kept, readable=everything or within, newest=newest
    )


def _highlight(texts: list[str], q: str) -> str:
    """Of the first text that has some of the words, else of the last."""
    shown = ""
    for text in texts:
        if "<mark>" in (shown := highlight(text, q)):
            break
    return shown
