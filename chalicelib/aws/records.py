"""Turns what the core speaks of into items of the `documents` table, and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.core.accounts import (
    Account,
    Collect,
    Domain,
    EmailReports,
    Permission,
    Role,
    Roster,
    Scope,
    Site,
    SiteState,
    StatisticsDomain,
    User,
    Visibility,
)
from chalicelib.core.keys import Key

from .tables import (
    AccountDocument,
    Document,
    DomainDocument,
    KeyDocument,
    KeyPointer,
    Taken,
    UserDocument,
)


@dataclass(frozen=True, slots=True)
class New:
    """An item to create, and the name of the field that is at fault if it is there already."""

    document: Document
    field: str


def put(table: str, document: Document) -> dict[str, Any]:
    """The member of a transaction that makes an item, which must not be there yet."""
    return {
        "Put": {"TableName": table, "Item": document.serialize(), "ConditionExpression": "attribute_not_exists(pk)"}
    }


def partition(account: str) -> str:
    """The partition key of an account."""
    return f"account#{account}"


def new_account(account: Account) -> list[New]:
    """The items of a new account."""
    document = AccountDocument(partition(account.id), "account", name=account.name, created_at=account.created_at)
    return [New(document, "id")]


def new_user(user: User) -> list[New]:
    """The items of a new user: names and mail addresses are unique whatever their case."""
    document = UserDocument(
        partition(user.account),
        f"user#{user.id:010d}",
        number=user.id,
        name=user.name,
        email=user.email,
        role=user.role.value,
        password=user.password,
        email_verified=user.email_verified,
        timezone=user.timezone,
        created_at=user.created_at,
        email_reports=int(user.email_reports),
        last_report_at=user.last_report_at,
        sunday_starts_week=user.sunday_starts_week,
        number_format=user.number_format,
    )
    return [
        New(document, "id"),
        New(Taken("taken#user", user.name.lower(), account=user.account), "username"),
        New(Taken("taken#email", user.email.lower(), account=user.account), "email"),
    ]


def taken_statistics(account: str) -> str:
    """The partition of the names that an account's statistics facets have."""
    return f"taken#statistics#{account}"


def new_name(facet: StatisticsDomain) -> Taken:
    """The item that keeps a statistics facet's name for it."""
    scope = facet.scope
    return Taken(taken_statistics(scope.account), facet.name, account=scope.account, domain=scope.domain)


def new_domain(facet: StatisticsDomain) -> DomainDocument:
    """The item of a new domain that is nothing but a statistics facet."""
    scope = facet.scope
    document = DomainDocument(
        partition(scope.account), f"domain#{scope.entity}", name=facet.name, created_at=facet.created_at
    )
    put_facet(document, facet)
    return document


def site_attributes(site: Site) -> dict[str, Any]:
    """What a domain's item says of its site facet; None for what it does not say."""
    return {
        "site": site.id,
        "code": site.code,
        "cname": site.cname,
        "link_domain": site.link_domain,
        "state": site.state.value,
        "visibility": site.visibility.value,
        "secret": site.secret or None,
        "allow_counter": site.allow_counter,
        "allow_bosmang": site.allow_bosmang,
        "data_retention": site.data_retention,
        "ignore_ips": ",".join(site.ignore_ips),
        "collect": int(site.collect),
        "collect_regions": ",".join(site.collect_regions),
        "allow_embed": ",".join(site.allow_embed),
        "user_defaults": site.user_defaults or None,
        "site_created_at": site.created_at,
        "site_updated_at": site.updated_at,
        "cname_setup_at": site.cname_setup_at,
        "first_hit_at": site.first_hit_at,
        "received_data": site.received_data,
        "limits": site.limits or None,
    }


SITE = (*site_attributes(Site("", "", 0, "")), "site_version")
"""The attributes of a site facet."""


def new_site(name: str, site: Site, facet: StatisticsDomain | None = None) -> list[New]:
    """The items of a new domain with a site facet, and maybe one for statistics."""
    document = DomainDocument(
        partition(site.account),
        f"domain#{site.domain}",
        name=name,
        created_at=site.created_at,
        **site_attributes(site),
    )
    documents = [New(document, "id"), *new_pointers(site)]
    if facet:
        put_facet(document, facet)
        documents.append(New(new_name(facet), "domain"))
    return documents


def new_pointers(site: Site) -> list[New]:
    """The items that keep a new site's number, code and host for it, in this order."""
    documents = [New(site_pointer(site), "id"), New(code_pointer(site), "code")]
    return [*documents, New(cname_pointer(site), "cname")] if site.cname else documents


def site_pointer(site: Site, partition_key: str = "sites") -> Taken:
    """The item that lists a site of the deployment."""
    return Taken(partition_key, f"{site.id:010d}", account=site.account, domain=site.domain)


def code_pointer(site: Site) -> Taken:
    """The item that keeps a site's code for it."""
    return Taken("taken#code", site.code, account=site.account, domain=site.domain)


def cname_pointer(site: Site) -> Taken:
    """The item that keeps a site's host for it, which it must have."""
    return Taken("taken#cname", site.cname, account=site.account, domain=site.domain)


def new_key(key: Key, digest: str) -> list[New]:
    """The items of a new key whose token has this digest."""
    return [
        New(
            KeyDocument(
                f"token#{digest}",
                "key",
                id=key.id,
                account=key.account,
                name=key.name,
                permissions=int(key.permissions),
                sites=set(key.sites) or None,
                owner=key.owner,
                created=key.created,
                last_used=key.last_used,
                revoked=key.revoked,
                domain=key.domain or None,
                limits=key.limits or None,
            ),
            "id",
        ),
        New(KeyPointer(f"keys#{key.account}", key.id, digest=digest), "id"),
    ]


def key(document: KeyDocument) -> Key:
    """The key that an item holds."""
    return Key(
        id=document.id,
        account=document.account,
        name=document.name,
        permissions=Permission(int(document.permissions)),
        owner=int(document.owner),
        sites=tuple(sorted(int(site) for site in document.sites or ())),
        created=int(document.created),
        last_used=int(document.last_used),
        revoked=document.revoked,
        domain=document.domain or "",
        limits=document.limits or "",
    )


def roster(documents: Sequence[Document]) -> Roster | None:
    """The account whose partition this is; None if it is empty."""
    account = next((item for item in documents if isinstance(item, AccountDocument)), None)
    if account is None:
        return None
    name = account.pk.removeprefix("account#")
    return Roster(
        Account(name, account.name, int(account.created_at)),
        tuple(user(item) for item in documents if isinstance(item, UserDocument)),
        tuple(_domain(item) for item in documents if isinstance(item, DomainDocument)),
    )


def user(document: UserDocument) -> User:
    """The user that an item holds."""
    return User(
        id=int(document.number),
        account=document.pk.removeprefix("account#"),
        name=document.name,
        email=document.email,
        role=Role(document.role),
        password=document.password,
        email_verified=document.email_verified,
        timezone=document.timezone,
        created_at=int(document.created_at),
        email_reports=EmailReports(int(document.email_reports or 0)),
        last_report_at=int(document.last_report_at or 0),
        report_claim=document.report_claim or "",
        sunday_starts_week=bool(document.sunday_starts_week),
        number_format=int(document.number_format or 0x202F),
    )


def _domain(document: DomainDocument) -> Domain:
    return Domain(
        document.sk.removeprefix("domain#"),
        document.pk.removeprefix("account#"),
        document.name,
        int(document.created_at),
        site(document),
        facet(document),
    )


def put_facet(document: DomainDocument, facet: StatisticsDomain) -> None:
    """Gives a domain's item a statistics facet."""
    document.statistics, document.statistics_name = facet.scope.domain, facet.name
    document.statistics_created_at, document.statistics_updated_at = facet.created_at, facet.updated_at


def facet(document: DomainDocument) -> StatisticsDomain | None:
    """The statistics facet of a domain, if it has one."""
    domain: str | None = document.statistics
    if domain is None:
        return None
    return StatisticsDomain(
        Scope(document.pk.removeprefix("account#"), domain),
        document.statistics_name or "",
        int(document.statistics_created_at or 0),
        int(document.statistics_updated_at or 0),
    )


def site(document: DomainDocument) -> Site | None:
    """The site facet of a domain, if it has one."""
    number: float | None = document.site
    if number is None:
        return None
    return Site(
        account=document.pk.removeprefix("account#"),
        domain=document.sk.removeprefix("domain#"),
        id=int(number),
        code=document.code or "",
        cname=document.cname,
        link_domain=document.link_domain or "",
        state=SiteState(document.state or SiteState.ACTIVE),
        visibility=Visibility(document.visibility or Visibility.PRIVATE),
        secret=document.secret or "",
        allow_counter=bool(document.allow_counter),
        allow_bosmang=bool(document.allow_bosmang),
        data_retention=int(document.data_retention or 0),
        ignore_ips=_several(document.ignore_ips),
        collect=Collect(int(document.collect or 0)),
        collect_regions=_several(document.collect_regions),
        allow_embed=_several(document.allow_embed),
        user_defaults=document.user_defaults or "",
        created_at=int(document.site_created_at or document.created_at),
        updated_at=_maybe(document.site_updated_at),
        cname_setup_at=_maybe(document.cname_setup_at),
        first_hit_at=int(document.first_hit_at or 0),
        received_data=bool(document.received_data),
        limits=document.limits or "",
    )


def _maybe(number: float | None) -> int | None:
    return None if number is None else int(number)


def _several(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()
