"""Files of contacts like those people upload: eight columns, quotes, line breaks, other alphabets, some rows bad."""

import csv
import random
from collections.abc import Iterator
from pathlib import Path

HEADER = ["Customer No", "First name", "Last name", "E-Mail", "Mobile", "Company", "City", "Notes"]
BAD, DUPLICATE = 0.02, 0.03
"""Shares of the rows."""

_FIRST = [
    "Ana",
    "José",
    "Li",
    "Müller",
    "Zoë",
    "Олег",
    "花子",
    "Noor",
    "Ibrahim",
    "Grace",
    "Priya",
    "Łukasz",
    "Siobhán",
    "Chloe",
    "Mateo",
]
_LAST = [
    "Smith",
    "García",
    "Nguyễn",
    "Kowalski",
    "O'Brien",
    "Иванов",
    "佐藤",
    "Haddad",
    "Okafor",
    "Schmidt",
    "Rossi",
    "Dubois",
    "Silva",
    "Kim",
    "Patel",
]
_CITIES = ["Berlin", "São Paulo", "New York", "東京", "Kraków", "Lagos", "Paris, 11e", 'The "Hague"', "Zürich"]


def rows(count: int, *, seed: int = 1) -> Iterator[list[str]]:
    """So many rows; the same for the same seed."""
    chance = random.Random(seed)
    for number in range(count):
        kind = chance.random()
        who = chance.randrange(max(1, number)) if kind < DUPLICATE else number
        first, last = _FIRST[who % len(_FIRST)], _LAST[who // 7 % len(_LAST)]
        email, phone = f"person.{who}@mail{who % 97}.example.com", f"+1212{2000000 + who % 7_999_999:07d}"
        if kind > 1 - BAD:
            email, phone = chance.choice([("not an address", phone), ("", ""), (email, "12")])
        note = f"Called twice,\nasked for {last}" if who % 10 == 0 else f"Met in {who % 30 + 1990}"
        city = _CITIES[who % len(_CITIES)]
        yield [f"C-{who:07d}", first, last, email, phone, f"Company {who % 5003} Ltd.", city, note]


def write_csv(path: Path, count: int, *, seed: int = 1) -> None:
    """The rows as a CSV file in UTF-8."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(rows(count, seed=seed))


def write_workbook(path: Path, count: int, *, seed: int = 1) -> None:
    """The rows as an Excel workbook, its texts in the shared table, as Excel writes them."""
    import xlsxwriter  # type: ignore[import-untyped]

    with xlsxwriter.Workbook(str(path)) as workbook:
        sheet = workbook.add_worksheet()
        for number, row in enumerate([HEADER, *rows(count, seed=seed)]):
            for at, cell in enumerate(row):
                sheet.write_string(number, at, cell)
