"""Which column is which field: found by the columns' names, or as the uploader says."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from quintet.imports.tables import MAX_COLUMNS, Row, UnreadableTableError

Field = Literal["external_id", "full_name", "first_name", "last_name", "email", "phone"]
FIELDS: tuple[Field, ...] = get_args(Field)
SAMPLE_ROWS = 50
"""How many rows show what the columns are."""

_SPELLINGS: dict[Field, str] = {
    "email": """email mail emailaddress mailaddress emailid primaryemail workemail emailaddresse emailadresse
        mailadresse correo correoelectronico courriel adressemail adresseemail eposta epost
        メール メールアドレス 电子邮件 邮箱""",
    "phone": """phone phonenumber phoneno telephone telephonenumber tel telno mobile mobilephone mobilenumber mobileno
        cell cellphone msisdn contactnumber primaryphone workphone telefon telefonnummer handy handynummer mobil
        rufnummer telefono celular movil telephoneportable portable numerodetelephone 電話 電話番号 电话 手机""",
    "full_name": """name fullname contact contactname contactperson customer customername client clientname person
        displayname nombre nombrecompleto nom nomcomplet vollername 名前 氏名 姓名""",
    "first_name": "firstname givenname forename vorname prenom primernombre 名",
    "last_name": "lastname surname familyname nachname familienname apellido apellidos 姓",
    "external_id": """id externalid customerid customernumber customerno contactid contactno clientid clientno recordid
        reference ref refno crmid leadid number no nummer kundennummer kundennr""",
}
"""Names of columns without accents, spaces and punctuation, in lower case."""

OURS = ("line", "reason")
"""What a list of failed rows has in front: left alone when it comes back."""

_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_NUMBER = re.compile(r"'?\+?[\d\s().\-/]{7,25}")


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Positions of the fields' columns, of those that become attributes, and of those that hold dates."""

    columns: tuple[str, ...]
    fields: Mapping[Field, int]
    attributes: Mapping[str, int]
    dates: frozenset[str] = field(default_factory=frozenset)
    has_header: bool = True

    @property
    def ours(self) -> bool:
        """Whether it is a list of failed rows that comes back, corrected."""
        return [plain(name) for name in self.columns[:2]] == list(OURS)

    def described(self) -> dict[str, Any]:
        """It as JSON, by the columns' names."""
        return {
            **{name: self.columns[at] for name, at in self.fields.items()},
            "attributes": [self.columns[at] for at in self.attributes.values()],
            "dates": sorted(self.dates),
        }


def map_columns(
    first: Row, following: Sequence[Row], asked: Mapping[str, Any] | None, *, lenient: bool = False
) -> ColumnMap:
    """The mapping of a table that begins with `first`.

    `asked` is what the uploader says: field -> name or position (from 1) of its column, `attributes`: the columns
    to keep (all others otherwise), `dates`: those that hold dates, `header`: whether the first row is one. `lenient`:
    also when no column is found that a contact can be reached by.
    """
    asked = dict(asked or {})
    has_header = asked.get("header")
    if has_header is None:
        has_header = _is_header(first, following)
    width = len(first.cells) if has_header else max(len(row.cells) for row in (first, *following))
    if width > MAX_COLUMNS:
        raise UnreadableTableError(f"The table has {width:,} columns; {MAX_COLUMNS} are the most.")
    columns = _names(first.cells) if has_header else tuple(f"Column {n}" for n in range(1, width + 1))
    fields = {name: _position(columns, asked[name], name) for name in FIELDS if asked.get(name) is not None}
    if not fields:
        fields = _by_name(columns) if has_header else _by_content((first, *following))
    if "email" not in fields and "phone" not in fields and not lenient:
        raise UnreadableTableError(
            "No column has email addresses or telephone numbers, as far as the first row shows. "
            f"Say which in `mapping`; there are: {', '.join(columns)[:500]}."
        )
    if (wanted := asked.get("attributes")) is not None:
        kept = [_position(columns, column, "attributes") for column in wanted]
    else:
        kept = [at for at in range(len(columns)) if at not in fields.values()]
    found = ColumnMap(columns, fields, {}, has_header=has_header)
    attributes = {columns[at]: at for at in kept if not (found.ours and at < len(OURS))}
    dates = frozenset(columns[_position(columns, column, "dates")] for column in asked.get("dates") or ())
    return ColumnMap(columns, fields, {**attributes, **{d: columns.index(d) for d in dates}}, dates, has_header)


def plain(name: str) -> str:
    """A column's name without accents, spaces and punctuation, in lower case."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(character for character in decomposed if character.isalnum())


def _is_header(first: Row, following: Iterable[Row]) -> bool:
    """Names are not addresses, numbers or blanks."""
    cells = [cell.strip() for cell in first.cells]
    if any(_ADDRESS.fullmatch(cell) or _NUMBER.fullmatch(cell) for cell in cells):
        return False
    return any(cells) and not any(cell.isdigit() for cell in cells)


def _names(cells: Sequence[str]) -> tuple[str, ...]:
    """The columns' names, each once: `Email`, `Email (2)`, and `Column 3` where there is none."""
    seen: dict[str, int] = {}
    names = []
    for number, cell in enumerate(cells, 1):
        name = " ".join(cell.replace("\0", "").split())[:100] or f"Column {number}"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(names)


def _by_name(columns: Sequence[str]) -> dict[Field, int]:
    found: dict[Field, int] = {}
    names = [plain(column) for column in columns]
    for name, spellings in _SPELLINGS.items():
        known = spellings.split()
        position = next((at for at, column in enumerate(names) if column in known), None)
        if position is not None:
            found[name] = position
    if "full_name" in found and "first_name" in found:
        found.setdefault("last_name", found["full_name"])  # `Vorname, Name`
        del found["full_name"]
    return found


def _by_content(rows: Sequence[Row]) -> dict[Field, int]:
    """Columns most of whose cells look like addresses, or like numbers."""
    found: dict[Field, int] = {}
    columns: dict[int, list[str]] = {}
    for row in rows:
        for at, cell in enumerate(row.cells):
            if cell.strip() and row.problem is None:
                columns.setdefault(at, []).append(cell.strip())
    looks: tuple[tuple[Field, re.Pattern[str]], ...] = (("email", _ADDRESS), ("phone", _NUMBER))
    for name, pattern in looks:
        for at, cells in columns.items():
            if name not in found and sum(pattern.fullmatch(cell) is not None for cell in cells) * 2 > len(cells):
                found[name] = at
    return found


def _position(columns: Sequence[str], wanted: Any, name: str) -> int:
    """The column of this name (or of this position, from 1)."""
    if isinstance(wanted, int) and 1 <= wanted <= len(columns):
        return wanted - 1
    exact = [at for at, column in enumerate(columns) if column == wanted]
    alike = [at for at, column in enumerate(columns) if plain(column) == plain(str(wanted))]
    for found in (exact, alike):
        if found:
            return found[0]
    raise UnreadableTableError(
        f"There is no column {str(wanted)[:100]!r}, which `mapping` gives for `{name}`; "
        f"there are: {', '.join(columns)[:500]}."
    )
