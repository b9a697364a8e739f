"""Makes accounts for a service that runs elsewhere: reads wishes from standard input, answers each with a line of JSON.

A process of its own, since PynamoDB's models belong to one AWS at a time and other tests have theirs simulated.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from chalicelib import wiring
from chalicelib.aws.records import partition
from chalicelib.aws.tables import DomainDocument
from chalicelib.core import passwords
from chalicelib.core.accounts import Permission, Site


def main() -> None:
    """Fulfils wishes until there are no more."""
    # Nobody signs in here, and hashing takes more time than all the rest.
    passwords.hashed = lambda password: f"not hashed: {password}"
    for line in sys.stdin:
        wish = json.loads(line)
        answer = _WISHES[wish.pop("wish")](**wish)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _document(account: str, domain: str) -> DomainDocument:
    return DomainDocument.get(partition(account), f"domain#{domain}", consistent_read=True)


def _account(name: str, collect: int, ignore_ips: list[str]) -> dict[str, Any]:
    """An account with a site that has these settings."""
    created = wiring.accounts().create_account(
        name=name,
        username=name,
        email=f"{name}@example.com",
        password=name,
        domain=f"{name}.example",
        code=name,
        cname=f"{name}.stats.test",
    )
    document = _document(created.account.id, created.site.domain)
    document.collect, document.ignore_ips = collect, ",".join(ignore_ips) or None
    document.save()
    return {
        "account": created.account.id,
        "owner": created.user.id,
        "token": created.token,
        "site": _said(created.site),
    }


def _site(account: str, name: str) -> dict[str, Any]:
    """Another site of an account. Services that know the account already learn of it within half a minute."""
    return _said(wiring.accounts().create_site(account, f"{name}.example", cname=f"{name}.stats.test"))


def _said(site: Site) -> dict[str, Any]:
    return {"id": site.id, "code": site.code, "domain": site.domain, "host": site.cname, "stream": site.stream}


def _key(account: str, owner: int, permissions: int, sites: list[int]) -> str:
    """The token of another key."""
    return wiring.accounts().issue_key(account, owner, "another", Permission(permissions), sites)[1]


def _first_hit_at(account: str, domain: str) -> int:
    """Since when a site has data, in Unix seconds."""
    return int(_document(account, domain).first_hit_at or 0)


_WISHES: dict[str, Callable[..., Any]] = {
    "account": _account,
    "site": _site,
    "key": _key,
    "first_hit_at": _first_hit_at,
}

if __name__ == "__main__":
    main()
