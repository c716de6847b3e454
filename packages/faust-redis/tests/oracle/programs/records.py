"""Records with nested, optional, date and other fields, as they travel and come back."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Optional

import faust

from tests.oracle.stage import make_app, note, noted, step


class Address(faust.Record):
    """Part of a person."""

    street: str
    zip: Optional[str] = None  # noqa: UP045


class Person(faust.Record, coerce=True):
    """A record with fields of many types."""

    name: str
    born: datetime
    home: Address
    others: list[Address]
    by_name: dict[str, Address]
    credit: Decimal
    nick: Optional[str] = None  # noqa: UP045
    tags: set[str] = set()  # noqa: RUF012


class Company(faust.Record, polymorphic_fields=True):
    """A record whose field may hold any record."""

    owner: Any
    size: int = 3


class Renamed(faust.Record, include_metadata=False):
    """A record whose field has another name in JSON, and that does not name its class."""

    from_: str = faust.models.fields.StringField(field="from")


app = make_app("records", topic_partitions=1)
people = app.topic("people", value_type=Person)
companies = app.topic("companies", value_type=Company)
renamed = app.topic("renamed", value_type=Renamed)
raw = {name: app.topic(name, value_serializer="json") for name in ("people", "companies", "renamed")}


@app.agent(people)
async def see(stream: Any) -> None:
    async for person in stream:
        note("people", [repr(person), type(person.born).__name__, type(person.home).__name__])


@app.agent(companies)
async def see_company(stream: Any) -> None:
    async for company in stream:
        note("companies", [type(company).__name__, repr(company)])


@app.agent(renamed)
async def see_renamed(stream: Any) -> None:
    async for value in stream:
        note("renamed", value.from_)


@step(app)
async def result() -> Any:
    born = datetime(1815, 12, 10, 1, 2, 3, tzinfo=timezone.utc)  # noqa: UP017
    home = Address("St James's Square", "SW1")
    await people.send(
        value=Person("Ada", born, home, [home, Address("Ockham")], {"x": home}, Decimal("1.10"))
    )
    await raw["people"].send(
        value={
            "name": "Grace", "born": "1906-12-09T00:00:00", "home": {"street": "Arlington", "unknown": 1},
            "others": [], "by_name": {}, "credit": "0.5", "nick": "Amazing", "tags": ["navy", "cobol"],
        }
    )  # fmt: skip
    await companies.send(value=Company(home))
    await renamed.send(value=Renamed(from_="here"))
    await raw["renamed"].send(value={"from": "there"})
    return {
        name: await noted(name, count) for name, count in [("people", 2), ("companies", 1), ("renamed", 2)]
    }
