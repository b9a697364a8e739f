"""An account with a key, and a way to ask as its owner, for tests that come through the front door."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib import wiring
from chalicelib.aws.accounts import Created
from chalicelib.core.accounts import Permission, Scope
from tests.front import FrontDoor, Reply

_numbers = itertools.count(1)


def address() -> str:
    """An address that nobody in these tests has used before: its windows are all open."""
    number = next(_numbers)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


@dataclass
class Person:
    """The owner of an account. Requests come from a new address each, unless one is given: no limit stops them."""

    front: FrontDoor
    created: Created
    token: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        """What names this account's site in paths."""
        return f"/s/{self.created.site.code}"

    def ask(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **kwargs: Any) -> Reply:
        """A request with the key, to this account's site."""
        own = {"authorization": f"Bearer {self.token}", **(headers or {})}
        kwargs.setdefault("client", address())
        return self.front.request(method, f"{self.prefix}{path}", headers=own, **kwargs)

    def get(self, path: str, **kwargs: Any) -> Reply:
        return self.ask("GET", path, **kwargs)

    def post(self, path: str, **kwargs: Any) -> Reply:
        return self.ask("POST", path, **kwargs)

    @property
    def scope(self) -> Scope:
        """The domain that the token opens for statistics."""
        return self.created.statistics.scope

    def key(self, permissions: int, sites: tuple[int, ...] = (-1,), domain: str | None = None, limits: str = "") -> str:
        """The token of another key of this account; for the same domain, unless another or none ("") is named."""
        account, owner = self.created.account.id, self.created.user.id
        domain = self.scope.domain if domain is None else domain
        _, token = wiring.accounts().issue_key(
            account, owner, "another", Permission(permissions), sites, domain=domain, limits=limits
        )
        return token


def settle(front: FrontDoor, code: str | None = None, cname: str | None = None) -> Person:
    """Makes an account with one site, and its owner."""
    number = next(_numbers)
    wiring.secrets().ensure()
    created = wiring.accounts().create_account(
        name=f"account {number}",
        username=f"user{number}",
        email=f"user{number}@example.com",
        password="correct horse",
        domain=f"domain{number}.example",
        code=code or f"code{number}",
        cname=cname,
    )
    return Person(front, created, created.token)
