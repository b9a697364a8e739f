"""The lists that jobs walk, in pages: sites, deleted sites and users of the whole deployment, by their keys."""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from chalicelib.core.accounts import Site, SiteState

from . import calls, records
from .calls import Key
from .tables import DomainDocument, Taken

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

SITES, DELETED, USERS = "sites", "sites#deleted", "taken#user"
LAST = "\U0010ffff"
"""Behind every sort key."""


def keys(  # noqa: PLR0913, PLR0917 - where, and how much of it
    client: "DynamoDBClient", table: str, partition: str, after: str, limit: int, until: str = LAST
) -> list[str]:
    """The sort keys of so many items of a partition at most that come after a key, in order.

    Raises:
        Unavailable: DynamoDB does not answer.
    """
    found = calls.query(client, table, partition, following(after), until, ProjectionExpression="sk", Limit=limit)
    return [item["sk"]["S"] for item in islice(found, limit)]


def following(key: str) -> str:
    """The first key that may come after one."""
    return f"{key}\0" if key else " "


class Rolls:
    """The lists over the documents' table. Every method may raise `Unavailable`."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def keys(self, roll: str, after: str, limit: int) -> list[str]:
        """The keys of so many entries of a list at most that come after a key."""
        return keys(self._client, self._table, roll, after, limit)

    def sites(self, roll: str, after: str, until: str) -> list[tuple[str, Site]]:
        """The sites of one of the lists after a key, up to another; in as many calls as a hundredth of them."""
        pointers = [Taken.from_raw_data(dict(item)) for item in self._between(roll, after, until)]
        places = {
            pointer.sk: Key(self._table, records.partition(pointer.account), f"domain#{pointer.domain}")
            for pointer in pointers
        }
        items = calls.fetch(self._client, places.values())
        found = []
        for key, place in places.items():
            item = items[place]
            site = records.site(DomainDocument.from_raw_data(dict(item))) if item else None
            if site is not None and site.id == int(key) and (site.state is SiteState.ACTIVE) == (roll == SITES):
                found.append((key, site))
        return found

    def users(self, after: str, until: str) -> list[tuple[str, tuple[str, str]]]:
        """The users after a key, up to another: account, and name in lower case."""
        items = self._between(USERS, after, until)
        return [(item["sk"]["S"], (item["account"]["S"], item["sk"]["S"])) for item in items]

    def _between(self, partition: str, after: str, until: str) -> Sequence[calls.Item]:
        return list(calls.query(self._client, self._table, partition, following(after), until))
