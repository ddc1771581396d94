"""What tells the fields of contacts: names of columns, in several spellings, and what is in them."""

import re
import unicodedata
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Literal, get_args

from quintet.imports.tables import Row

Field = Literal["external_id", "full_name", "first_name", "last_name", "email", "phone"]
FIELDS: tuple[Field, ...] = get_args(Field)

_SPELLINGS: dict[Field, str] = {
    "email": """email mail emailaddress mailaddress emailid primaryemail workemail emailaddresse emailadresse
        mailadresse emailadres indirizzoemail correo correoelectronico courriel adressemail adresseemail eposta epost
        メール メールアドレス Eメール 电子邮件 邮箱 이메일""",
    "phone": """phone phonenumber phoneno telephone telephonenumber tel telno mobile mobilephone mobilenumber mobileno
        cell cellphone msisdn contactnumber primaryphone workphone telefon telefonnummer handy handynummer mobil
        mobilnummer rufnummer telefoonnummer telefoon mobiel telefono numerotelefono cellulare celular movil
        telemovel telefone telephoneportable telephonemobile portable numerodetelephone ndetelephone notelephone
        電話 電話番号 携帯電話 电话 手机 전화번호""",
    "full_name": """fullname name displayname contactname contactperson customername clientname customer client person
        nombrecompleto nombre nomcomplet nom nomecompleto nome vollername naam 氏名 名前 姓名 이름 contact""",
    "first_name": "firstname givenname forename vorname prenom primernombre voornaam 名",
    "last_name": "lastname surname familyname nachname familienname apellido apellidos achternaam cognome 姓",
    "external_id": """externalid id customerid customernumber customerno contactid contactno clientid clientno recordid
        reference ref refno crmid leadid number no nummer kundennummer kundennr""",
}
"""Names of columns as `plain` leaves them; of several in one table the one that comes first here counts."""

ALIKE: dict[Field, tuple[str, ...]] = {
    "email": ("email", "mail"),
    "phone": ("telefon", "phone", "mobil", "handy", "tel", "rufnummer"),
}
"""Parts of names that count where no name is known, unless something else is in the column."""

_SHORT_PHONE = 8
"""Digits of a number without anything between them that may as well be an id."""
ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
NUMBER = re.compile(r"'?\+?[\d\s().\-/]{7,25}")
_DATE = re.compile(r"\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{4}")


def plain(name: str) -> str:
    """A column's name without accents, spaces and punctuation, in lower case."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(character for character in decomposed if character.isalnum())


_KNOWN: dict[str, tuple[Field, int]] = {
    plain(spelling): (name, rank)
    for name, spellings in _SPELLINGS.items()
    for rank, spelling in enumerate(spellings.split())
}
"""Spelling -> its field, and how soon it counts."""


def without(columns: Mapping[int, str], fields: Mapping[Field, int]) -> dict[int, str]:
    """The columns that are none of these fields."""
    return {at: column for at, column in columns.items() if at not in fields.values()}


def is_number(cell: str) -> bool:
    """Whether it looks like a telephone number, and not like a date."""
    return NUMBER.fullmatch(cell) is not None and _DATE.fullmatch(cell) is None


def by_name(columns: Sequence[str]) -> dict[Field, int]:
    """The fields whose columns have names that are known, and their positions."""
    best: dict[Field, tuple[int, int]] = {}
    for at, column in enumerate(columns):
        if known := _KNOWN.get(plain(column)):
            name, rank = known
            best[name] = min(best.get(name, (rank, at)), (rank, at))
    found = {name: at for name, (_, at) in best.items()}
    if "full_name" in found and "first_name" in found:
        found.setdefault("last_name", found["full_name"])  # `Vorname, Name`
        del found["full_name"]
    return found


def by_content(
    rows: Sequence[Row], columns: Mapping[int, str], known: Container[str], *, alike: bool = False
) -> dict[Field, int]:
    """Of these columns the one that looks most like addresses, and the one most like telephone numbers, if they do.

    More than half of a column must. `alike`: only columns with a part of such a name, and those that are empty too.
    """
    found: dict[Field, int] = {}
    for name, like in _LOOKS:
        if name in known:
            continue
        scores: dict[int, float] = {}
        for at, column in without(columns, found).items():
            if alike and not is_alike(name, column):
                continue
            cells = (row.cells[at].strip() for row in rows if row.problem is None and at < len(row.cells))
            looks = [like(cell) for cell in cells if cell]
            if alike:
                looks = [float(look > 0) for look in looks] or [3 / 4]
            scores[at] = sum(looks) / max(1, len(looks))
        best = max(scores, key=lambda at: (scores[at], -at), default=None)
        if best is not None and scores[best] > 1 / 2:
            found[name] = best
    return found


def is_alike(name: Field, column: str) -> bool:
    """Whether a part of the column's name says that it may be the field."""
    return "fax" not in plain(column) and any(part in plain(column) for part in ALIKE.get(name, ()))


def _like_address(cell: str) -> float:
    return 1 if ADDRESS.fullmatch(cell) else 0


def _like_phone(cell: str) -> float:
    """A number that is written like any other may as well be somebody's id."""
    if not is_number(cell):
        return 0
    if cell.lstrip("'").startswith(("+", "00", "(")):
        return 1
    return 3 / 4 if re.search(r"\D", cell) or len(cell) > _SHORT_PHONE else 1 / 4


_LOOKS: tuple[tuple[Field, Callable[[str], float]], ...] = (("email", _like_address), ("phone", _like_phone))
