"""The one definition of tables, queues and bucket: a CloudFormation template and a local AWS are made from it.

`resources` gives CloudFormation's words for it; `create` makes the same by plain calls, for moto and emulators.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    import boto3
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

Resource = dict[str, Any]

PREFIX = "countless"
LONGEST_RETENTION = 14 * 86400
"""As long as SQS keeps anything: a message parked on a Friday is still there after the holidays."""
RECEIVES_BEFORE_PARKING = 20
"""What can never be taken in is parked by the functions themselves; what met outages is tried again for hours."""
EXPORTS_KEPT_DAYS = 3
BODIES_KEPT_DAYS = 30
"""As long as accepted ids are remembered: an older message is never counted, so its body is of no use."""


@dataclass(frozen=True, slots=True)
class Visibility:
    """Seconds for which a received message stays hidden, for each queue.

    On AWS six times the timeout of the function that reads the queue, as AWS advises; a local run has no
    reason to wait so long for a second try.
    """

    ingest: int = 360
    imports: int = 360
    fold: int = 720
    removals: int = 1800
    exports: int = 1800
    redactions: int = 1800
    walks: int = 1800

    @classmethod
    def all(cls, seconds: int) -> Visibility:
        """The same for every queue."""
        return cls(**dict.fromkeys(cls.__slots__, seconds))


ENVIRONMENT: Mapping[str, str] = {
    "COUNTLESS_DOCUMENTS_TABLE": "DocumentsTable",
    "COUNTLESS_LIMITS_TABLE": "LimitsTable",
    "COUNTLESS_STATISTICS_TABLE": "StatisticsTable",
    "COUNTLESS_LOG_TABLE": "LogTable",
    "COUNTLESS_ROLLUPS_TABLE": "RollupsTable",
    "COUNTLESS_INGEST_QUEUE": "IngestQueue",
    "COUNTLESS_IMPORTS_QUEUE": "ImportsQueue",
    "COUNTLESS_FOLD_QUEUE": "FoldQueue",
    "COUNTLESS_PARKED_QUEUE": "IngestParkedQueue",
    "COUNTLESS_PARKED_IMPORTS_QUEUE": "ImportsParkedQueue",
    "COUNTLESS_PARKED_FOLD_QUEUE": "FoldParkedQueue",
    "COUNTLESS_REMOVALS_QUEUE": "RemovalsQueue",
    "COUNTLESS_PARKED_REMOVALS_QUEUE": "RemovalsParkedQueue",
    "COUNTLESS_EXPORTS_QUEUE": "ExportsQueue",
    "COUNTLESS_PARKED_EXPORTS_QUEUE": "ExportsParkedQueue",
    "COUNTLESS_REDACTIONS_QUEUE": "RedactionsQueue",
    "COUNTLESS_PARKED_REDACTIONS_QUEUE": "RedactionsParkedQueue",
    "COUNTLESS_WALKS_QUEUE": "WalksQueue",
    "COUNTLESS_PARKED_WALKS_QUEUE": "WalksParkedQueue",
    "COUNTLESS_BUCKET": "Bucket",
}
"""Each variable that the functions' settings read, and the resource that CloudFormation's `Ref` gives for it:
a table's or a bucket's name, a queue's URL."""


def resources(prefix: str | None = None, visibility: Visibility | None = None) -> dict[str, Resource]:
    """CloudFormation resources by logical id.

    Without a `prefix` nothing is named, and CloudFormation finds names that never collide with what an earlier,
    deleted stack has left behind; with one, names are `PREFIX-documents` and so on.
    """
    hidden = visibility or Visibility()
    found = {
        "DocumentsTable": _table({"pk": "S", "sk": "S"}),
        "LimitsTable": _table({"pk": "S"}, kept=False),
        "StatisticsTable": _table({"pk": "S", "sk": "S"}),
        "LogTable": _table({"stream": "S", "number": "N"}),
        "RollupsTable": _table({"pk": "S", "sk": "S"}),
        **_queue("Ingest", hidden.ingest),
        **_queue("Imports", hidden.imports, fifo=True),
        **_queue("Fold", hidden.fold, fifo=True),
        **_queue("Removals", hidden.removals),
        **_queue("Exports", hidden.exports),
        **_queue("Redactions", hidden.redactions),
        **_queue("Walks", hidden.walks),
        "Bucket": _bucket(),
    }
    if prefix is not None:
        for logical, resource in found.items():
            resource["Properties"].update(_named(prefix, logical, resource))
    return found


def _table(keys: Mapping[str, str], *, kept: bool = True) -> Resource:
    """`keys` are partition and sort key with their types. What is not `kept` lives for minutes: limits."""
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": "Retain" if kept else "Delete",
        "UpdateReplacePolicy": "Retain" if kept else "Delete",
        "Properties": {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in keys.items()],
            "KeySchema": [
                {"AttributeName": name, "KeyType": kind} for name, kind in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
            "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": kept},
            "SSESpecification": {"SSEEnabled": True},
        },
    }


def _queue(logical: str, visibility: int, *, fifo: bool = False) -> dict[str, Resource]:
    """A queue and its dead-letter queue, which is of the same kind, as SQS demands."""
    common: Resource = {"MessageRetentionPeriod": LONGEST_RETENTION, "SqsManagedSseEnabled": True}
    if fifo:
        # Order is kept by group alone: groups, our sites, do not wait for one another.
        common |= {
            "FifoQueue": True,
            "DeduplicationScope": "messageGroup",
            "FifoThroughputLimit": "perMessageGroupId",
        }
    parked = f"{logical}ParkedQueue"
    redrive = {
        "deadLetterTargetArn": {"Fn::GetAtt": [parked, "Arn"]},
        "maxReceiveCount": RECEIVES_BEFORE_PARKING,
    }
    retained = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    return {
        # The dead-letter queue stands first: `create` follows this order.
        parked: {"Type": "AWS::SQS::Queue", **retained, "Properties": dict(common)},
        f"{logical}Queue": {
            "Type": "AWS::SQS::Queue",
            **retained,
            "Properties": {**common, "VisibilityTimeout": visibility, "RedrivePolicy": redrive},
        },
    }


def _bucket() -> Resource:
    return {
        "Type": "AWS::S3::Bucket",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [
                    {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}},
                ],
            },
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
            "LifecycleConfiguration": {
                "Rules": [
                    {
                        "Id": "bodies",
                        "Status": "Enabled",
                        "Prefix": "bodies/",
                        "ExpirationInDays": BODIES_KEPT_DAYS,
                    },
                    {
                        # A net below the hourly job that deletes them after a day.
                        "Id": "exports",
                        "Status": "Enabled",
                        "Prefix": "exports/",
                        "ExpirationInDays": EXPORTS_KEPT_DAYS,
                    },
                    {
                        "Id": "unfinished-uploads",
                        "Status": "Enabled",
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                    },
                ],
            },
        },
    }


def _named(prefix: str, logical: str, resource: Resource) -> dict[str, str]:
    match resource["Type"]:
        case "AWS::DynamoDB::Table":
            return {"TableName": f"{prefix}-{logical.removesuffix('Table').lower()}"}
        case "AWS::S3::Bucket":
            return {"BucketName": f"{prefix}-files"}
        case _:
            stem = logical.removesuffix("Queue")
            words = f"{stem.removesuffix('Parked').lower()}{'-parked' if stem.endswith('Parked') else ''}"
            return {"QueueName": f"{prefix}-{words}{'.fifo' if resource['Properties'].get('FifoQueue') else ''}"}


def create(
    session: boto3.Session,
    *,
    prefix: str = PREFIX,
    visibility: Visibility | None = None,
    endpoint: str | None = None,
) -> dict[str, str]:
    """Make what is missing of the resources, and return the environment that leads the functions to them.

    What exists already is kept with its contents, so a service started again finds what it left. Backups are
    not asked for: what runs here is a simulation of AWS.
    """
    found = resources(prefix, visibility)
    dynamodb = session.client("dynamodb", endpoint_url=endpoint)
    sqs = session.client("sqs", endpoint_url=endpoint)
    s3 = session.client("s3", endpoint_url=endpoint)
    references: dict[str, str] = {}
    for logical, resource in found.items():
        properties = resource["Properties"]
        match resource["Type"]:
            case "AWS::DynamoDB::Table":
                references[logical] = _create_table(dynamodb, properties)
            case "AWS::SQS::Queue":
                references[logical] = _create_queue(sqs, properties, references)
            case _:
                references[logical] = _create_bucket(s3, properties, str(session.region_name))
    return _environment(references, prefix)


def find(session: boto3.Session, *, prefix: str = PREFIX, endpoint: str | None = None) -> dict[str, str]:
    """The environment that `create` returned once, without making or changing anything.

    Raises botocore's ClientError if a queue is missing.
    """
    sqs = session.client("sqs", endpoint_url=endpoint)
    references = {
        logical: sqs.get_queue_url(QueueName=name)["QueueUrl"] if key == "QueueName" else name
        for logical, resource in resources(prefix).items()
        for key, name in resource["Properties"].items()
        if key in ("TableName", "QueueName", "BucketName")
    }
    return _environment(references, prefix)


def _environment(references: Mapping[str, str], prefix: str) -> dict[str, str]:
    named = {variable: references[logical] for variable, logical in ENVIRONMENT.items()}
    return {**named, "COUNTLESS_SECRETS": f"/{prefix}"}


def _create_table(dynamodb: DynamoDBClient, properties: Resource) -> str:
    name = str(properties["TableName"])
    with contextlib.suppress(dynamodb.exceptions.ResourceInUseException):
        names = ("TableName", "BillingMode", "AttributeDefinitions", "KeySchema")
        dynamodb.create_table(**{key: properties[key] for key in names})
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    status = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"].get("TimeToLiveStatus")
    if status not in ("ENABLED", "ENABLING"):  # enabling it twice is an error
        dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"])
    return name


def _create_queue(sqs: SQSClient, properties: Resource, references: Mapping[str, str]) -> str:
    name = str(properties["QueueName"])
    attributes = {key: _attribute(sqs, value, references) for key, value in properties.items() if key != "QueueName"}
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    except ClientError as error:
        if "NonExistentQueue" not in error.response["Error"]["Code"] + str(error):
            raise
        return sqs.create_queue(QueueName=name, Attributes=cast("Any", attributes))["QueueUrl"]
    attributes.pop("FifoQueue", None)  # cannot change, so SQS refuses to hear it again
    sqs.set_queue_attributes(QueueUrl=url, Attributes=cast("Any", attributes))
    return url


def _attribute(sqs: SQSClient, value: object, references: Mapping[str, str]) -> str:
    """A property in the words of SQS's own API, where every value is text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        target = value["deadLetterTargetArn"]["Fn::GetAtt"][0]
        return json.dumps({**value, "deadLetterTargetArn": arn_of(sqs, references[target])})
    return str(value)


def arn_of(sqs: SQSClient, url: str) -> str:
    """The ARN of the queue at `url`."""
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def _create_bucket(s3: S3Client, properties: Resource, region: str) -> str:
    name = str(properties["BucketName"])
    try:
        s3.head_bucket(Bucket=name)
    except ClientError:
        # The oldest region is the one that must not be named.
        place: Any = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=name, **place)
    s3.put_bucket_lifecycle_configuration(
        Bucket=name, LifecycleConfiguration={"Rules": [_rule(r) for r in _rules(properties)]}
    )
    return name


def _rules(properties: Resource) -> list[Resource]:
    return list(properties["LifecycleConfiguration"]["Rules"])


def _rule(rule: Resource) -> Any:  # noqa: ANN401 - the stubs' type of a rule has a dozen optional keys
    """A lifecycle rule in the words of S3's own API, which differ from CloudFormation's."""
    said: Resource = {
        "ID": rule["Id"],
        "Status": rule["Status"],
        "Filter": {"Prefix": rule.get("Prefix", "")},
    }
    if "ExpirationInDays" in rule:
        said["Expiration"] = {"Days": rule["ExpirationInDays"]}
    if "AbortIncompleteMultipartUpload" in rule:
        said["AbortIncompleteMultipartUpload"] = rule["AbortIncompleteMultipartUpload"]
    return said
