"""What an import is measured against: the csv module, pydantic and the ORM, row by row, as one would first write it.

It does the same work: every row is checked by the same libraries, and left out if the campaign has it.

Runs inside a runtime of `deployed`: a file and a campaign on standard input, the seconds on REPLY_FD.
"""

import csv
import json
import os
import sys
import time
from typing import Annotated

import phonenumbers
from pydantic import AfterValidator, BaseModel, EmailStr, ValidationError
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from quintet.db.models.campaigns import Contact

TOGETHER = 1000
"""Rows of a transaction."""


def e164(text: str) -> str:
    """A telephone number as the database keeps it; ValueError when it is none."""
    try:
        number = phonenumbers.parse(text, "US")
    except phonenumbers.NumberParseException:
        raise ValueError("not a number") from None
    if not phonenumbers.is_valid_number(number):
        raise ValueError("not a number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


class Row(BaseModel):
    """A row of the file."""

    external_id: str
    full_name: str
    email: EmailStr
    phone: Annotated[str, AfterValidator(e164)]
    attributes: dict[str, str]


def main() -> None:
    """Import the file."""
    path, campaign = json.loads(sys.stdin.readline())
    engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1))
    began = time.perf_counter()
    with open(path, encoding="utf-8", newline="") as file, Session(engine) as session:
        rows = csv.reader(file)
        next(rows)
        for number, (id, first, last, email, phone, company, city, note) in enumerate(rows):
            attributes = {"Company": company, "City": city, "Notes": note}
            name = f"{first} {last}"
            try:
                row = Row(external_id=id, full_name=name, email=email, phone=phone, attributes=attributes)
            except ValidationError:
                continue
            known = select(Contact.id).where(Contact.campaign_id == campaign, Contact.match_key == row.email)
            if session.scalar(known) is None:
                session.add(Contact(campaign_id=campaign, **row.model_dump()))
            if number % TOGETHER == 0:
                session.commit()
        session.commit()
    os.write(int(os.environ["REPLY_FD"]), json.dumps(time.perf_counter() - began).encode() + b"\n")


if __name__ == "__main__":
    main()
