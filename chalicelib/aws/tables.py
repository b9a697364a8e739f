"""The models over the `documents` table: accounts with their users and domains, keys, and the pointers to
them.

What is read together stands under one partition key:

    pk              sk             what
    account#A       account        the account itself
    account#A       domain#D       a domain with its facets
    account#A       user#N         a user (N zero-padded)
    keys#A          K              a key of the account; says under which hash it stands
    token#HASH      key            the key of the token with this SHA-256: what a request looks up
    taken#KIND      VALUE          who has a code, host, user name or mail address: unique in the deployment
    taken#statistics#A  NAME       the statistics facet with this name, exactly: unique in the account
    sites           N              every site of the deployment (N zero-padded): account and domain
    sites#deleted   N              a site that was deleted and still has data, its item included
    counter         KIND           the last number given to a site or user; none is ever given twice

Everything that a request may touch lies under the account that its credential names, or is found by the hash
of the credential itself. Only `/count` and its kind, which are public, look sites up by `taken` and `sites`.
"""

from typing import TYPE_CHECKING, Any, TypeVar

from pynamodb.attributes import (
    BooleanAttribute,
    DiscriminatorAttribute,
    NumberAttribute,
    NumberSetAttribute,
    UnicodeAttribute,
)
from pynamodb.connection import TableConnection
from pynamodb.models import Model

from . import clients

if TYPE_CHECKING:
    from chalicelib.settings import Settings

T = TypeVar("T", bound="Document")


class Document(Model):
    """An item of the table; its `kind` says which of the models below it is."""

    class Meta:
        """Where the table is: `bind` says so, at first use."""

        table_name = ""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    kind = DiscriminatorAttribute()

    @classmethod
    def _get_connection(cls) -> TableConnection:
        """The connection that all models share, over the client that all else uses: each model would make its own."""
        if Document._connection is None:
            connection = super()._get_connection()
            # PynamoDB makes a client unless it has one, takes none from outside, and has a type of its own for it.
            connection.connection._client = clients.dynamodb()  # type: ignore[assignment]  # noqa: SLF001
            Document._connection = connection
        return Document._connection


class AccountDocument(Document, discriminator="account"):
    """An account."""

    name = UnicodeAttribute()
    created_at = NumberAttribute()


class UserDocument(Document, discriminator="user"):
    """A user of an account. `report_claim` is there while a report is being mailed (`aws/reporting.py`)."""

    number = NumberAttribute()
    name = UnicodeAttribute()
    email = UnicodeAttribute()
    role = UnicodeAttribute()
    password = UnicodeAttribute()
    email_verified = BooleanAttribute()
    timezone = UnicodeAttribute()
    created_at = NumberAttribute()
    email_reports = NumberAttribute(null=True)
    last_report_at = NumberAttribute(null=True)
    report_claim = UnicodeAttribute(null=True)
    sunday_starts_week = BooleanAttribute(null=True)
    number_format = NumberAttribute(null=True)


class DomainDocument(Document, discriminator="domain"):
    """A domain; the attributes of a facet are there if the facet is, those of the site facet if `site` is, those
    of the statistics facet if `statistics`, its id, is.
    """

    name = UnicodeAttribute()
    created_at = NumberAttribute()
    site = NumberAttribute(null=True)
    code = UnicodeAttribute(null=True)
    cname = UnicodeAttribute(null=True)
    link_domain = UnicodeAttribute(null=True)
    state = UnicodeAttribute(null=True)
    visibility = UnicodeAttribute(null=True)
    secret = UnicodeAttribute(null=True)
    allow_counter = BooleanAttribute(null=True)
    allow_bosmang = BooleanAttribute(null=True)
    data_retention = NumberAttribute(null=True)
    ignore_ips = UnicodeAttribute(null=True)
    collect = NumberAttribute(null=True)
    collect_regions = UnicodeAttribute(null=True)
    allow_embed = UnicodeAttribute(null=True)
    user_defaults = UnicodeAttribute(null=True)
    site_created_at = NumberAttribute(null=True)
    site_updated_at = NumberAttribute(null=True)
    site_version = NumberAttribute(null=True)
    cname_setup_at = NumberAttribute(null=True)
    first_hit_at = NumberAttribute(null=True)
    received_data = BooleanAttribute(null=True)
    limits = UnicodeAttribute(null=True)
    statistics = UnicodeAttribute(null=True)
    statistics_name = UnicodeAttribute(null=True)
    statistics_created_at = NumberAttribute(null=True)
    statistics_updated_at = NumberAttribute(null=True)


class KeyDocument(Document, discriminator="key"):
    """A key, under the hash of its token. One for no site has no `sites`: DynamoDB keeps no empty set."""

    id = UnicodeAttribute()
    account = UnicodeAttribute()
    name = UnicodeAttribute()
    permissions = NumberAttribute()
    sites = NumberSetAttribute(null=True)
    owner = NumberAttribute()
    created = NumberAttribute()
    last_used = NumberAttribute()
    revoked = BooleanAttribute()
    domain = UnicodeAttribute(null=True)
    limits = UnicodeAttribute(null=True)


class KeyPointer(Document, discriminator="key-pointer"):
    """A key in its account's list."""

    digest = UnicodeAttribute()


class Taken(Document, discriminator="taken"):
    """Whose a unique name is; for codes and hosts, which domain's, and for statistics, which facet's."""

    account = UnicodeAttribute()
    domain = UnicodeAttribute(null=True)


class Counter(Document, discriminator="counter"):
    """The last number given."""

    value = NumberAttribute()


_MODELS: tuple[type[Document], ...] = (
    Document,
    AccountDocument,
    UserDocument,
    DomainDocument,
    KeyDocument,
    KeyPointer,
    Taken,
    Counter,
)


def bind(settings: "Settings") -> None:
    """Points the models at the deployment's table. Whatever connection they had is dropped."""
    meta: Any = Document.Meta
    meta.table_name = settings.documents_table
    for model in _MODELS:
        model._connection = None  # noqa: SLF001 - PynamoDB has no other way to leave a world behind
