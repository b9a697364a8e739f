"""The environment as one frozen object: everything that an operator may set, each with a sentence."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache


@dataclass(frozen=True, slots=True)
class Settings:
    """What this process was told. AWS's own variables (`AWS_ENDPOINT_URL`, region, credentials) are boto3's
    to read.
    """

    documents_table: str = "countless-documents"
    """`COUNTLESS_DOCUMENTS_TABLE`: accounts, users, domains, keys."""
    limits_table: str = "countless-limits"
    """`COUNTLESS_LIMITS_TABLE`: how much of its windows each caller has used."""
    statistics_table: str = "countless-statistics"
    """`COUNTLESS_STATISTICS_TABLE`: groups, statistics and their values, and what is to be removed of them."""
    log_table: str = "countless-log"
    """`COUNTLESS_LOG_TABLE`: the segments of every stream, the truth that figures are folds of."""
    rollups_table: str = "countless-rollups"
    """`COUNTLESS_ROLLUPS_TABLE`: manifests and parts, which can be rebuilt from the log."""
    ingest_queue: str = ""
    """`COUNTLESS_INGEST_QUEUE`: URL of the queue that accepted requests wait in."""
    imports_queue: str = ""
    """`COUNTLESS_IMPORTS_QUEUE`: URL of the FIFO queue for requests with hits older than an hour."""
    fold_queue: str = ""
    """`COUNTLESS_FOLD_QUEUE`: URL of the FIFO queue that asks for folds."""
    parked_queue: str = ""
    """`COUNTLESS_PARKED_QUEUE`: URL of the dead-letter queue of `ingest_queue`."""
    parked_imports_queue: str = ""
    """`COUNTLESS_PARKED_IMPORTS_QUEUE`: URL of the dead-letter queue of `imports_queue`."""
    removals_queue: str = ""
    """`COUNTLESS_REMOVALS_QUEUE`: URL of the queue that asks for what was deleted to be removed."""
    exports_queue: str = ""
    """`COUNTLESS_EXPORTS_QUEUE`: URL of the queue that asks for exports to be made."""
    parked_exports_queue: str = ""
    """`COUNTLESS_PARKED_EXPORTS_QUEUE`: URL of the dead-letter queue of `exports_queue`."""
    redactions_queue: str = ""
    """`COUNTLESS_REDACTIONS_QUEUE`: URL of the queue that asks for what is to be redacted of page views."""
    parked_redactions_queue: str = ""
    """`COUNTLESS_PARKED_REDACTIONS_QUEUE`: URL of the dead-letter queue of `redactions_queue`."""
    walks_queue: str = ""
    """`COUNTLESS_WALKS_QUEUE`: URL of the queue in which pages of lists wait for the jobs that walk these lists."""
    parked_walks_queue: str = ""
    """`COUNTLESS_PARKED_WALKS_QUEUE`: URL of the dead-letter queue of `walks_queue`."""
    bucket: str = ""
    """`COUNTLESS_BUCKET`: name of the bucket for bodies too large for a queue, and for generated files."""
    files_url: str = ""
    """`COUNTLESS_FILES_URL`: where clients reach the service that holds the bucket; empty for S3 itself."""
    secrets: str = "/countless"
    """`COUNTLESS_SECRETS`: prefix of the parameters that hold the deployment's secrets."""
    limits: str = "on"
    """`COUNTLESS_LIMITS`: `on`, `off`, or changes to the plans such as `api:8/1,export:none`."""
    session_megabytes: str = "128"
    """`COUNTLESS_SESSION_MEGABYTES`: memory that the sessions of one site may take in a function, in megabytes of a
    million bytes: about 5,000 sessions each. What would make them more is a visit of its own.
    """
    url: str = ""
    """`COUNTLESS_URL`: where clients reach this deployment, for links that it hands out; empty for links that
    begin at the root.
    """
    support: str = ""
    """`COUNTLESS_SUPPORT`: whom users ask for help, an address of any kind; the APIs' descriptions name it."""
    mail: str = ""
    """`COUNTLESS_MAIL`: what sends mails: `ses`, `smtp://HOST:587` or `smtps://HOST:465`; empty if nothing does."""
    mail_from: str = ""
    """`COUNTLESS_MAIL_FROM`: whom mails are from, `reports@example.com` or `Reports <reports@example.com>`."""
    edge_secret: str = field(default="", repr=False)
    """`COUNTLESS_EDGE_SECRET`: what the CDN's function proves itself with, or two by comma while one takes the other's
    place; empty if it is the secret `edge` of the parameters, or there is no CDN to believe.
    """
    geo_database: str = ""
    """`COUNTLESS_GEO_DATABASE`: path of an mmdb file, of countries or cities, that places addresses; empty for the
    database of countries that is shipped, if the package has one.
    """
    spam_list: str = ""
    """`COUNTLESS_SPAM_LIST`: `https://` or `s3://BUCKET/KEY` address of a list of referrer spammers, a host in each
    line, that is fetched every day; empty for the list that is shipped.
    """
    cloud_ranges: str = ""
    """`COUNTLESS_CLOUD_RANGES`: such an address of a list of clouds' networks, `192.0.2.0/24 hetzner` in each line,
    whose page views are bots' at `/count`; empty for none.
    """

    @property
    def edge_secrets(self) -> tuple[str, ...]:
        """What `edge_secret` holds: one, or two of which either is accepted."""
        return tuple(part for part in self.edge_secret.split(",") if part)


def read(environment: Mapping[str, str]) -> Settings:
    """The settings that these variables hold. Empty variables count as absent."""
    names = {name: f"COUNTLESS_{name.upper()}" for name in Settings.__slots__}
    return Settings(**{name: environment[key] for name, key in names.items() if environment.get(key)})


@cache
def settings() -> Settings:
    """The settings of this process, read at the first call."""
    return read(os.environ)
