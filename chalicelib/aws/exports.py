"""Exports in DynamoDB and S3: the jobs and the notes to look after them, and the files.

On the `documents` table:

    pk            sk            what
    exports#A     EXPORT        a job of account A, packed; it ends 30 days after its file has expired
    export#E      export        whose the job E is, for links, which do not say
    export-numbers#A  numbers   the last number that account A gave to an export
    export-numbers#A  0..N      which job of account A has the number N (ten digits); it ends with the job
    exports-due   AT#A#E        a note to look after job E of account A at a moment (ten digits of Unix seconds)
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson
from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError, ResponseStreamingError

from chalicelib.core.errors import Conflict, Unavailable
from chalicelib.core.exports import REMEMBERED, Job, Look, Lost, Part, Progress, State, disposition
from chalicelib.core.pages import Page

from . import calls, rolls
from .calls import Item, Key

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client

DUE = "exports-due"
FIRST, LAST = " ", "~"
"""Around every sort key of ours: they begin with a letter or a digit."""
_MIXED = {"InvalidPart", "InvalidPartOrder", "EntityTooSmall"}
"""What S3 says when it has other parts than those that are to be joined."""
_GONE = {"NoSuchUpload", "NoSuchKey", "NotFound", "404", "InvalidRange"}


class Jobs:
    """A `JobStore`."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def begin(self, job: Job, look: int) -> None:
        """As `JobStore.begin`. The id is new, so that writing it all again changes nothing."""
        ends = {"expires": {"N": str(job.expires_at + REMEMBERED)}}
        pointer = self._pointer(job.id).words | {"account": {"S": job.account}} | ends
        items = [_item(self._key(job.account, job.id), job), pointer, self._note(_look(job, look)).words]
        if job.number:
            items.append(self._numbered(job.account, job.number).words | {"export": {"S": job.id}} | ends)
        calls.transact(self._client, [{"Put": {"TableName": self._table, "Item": item}} for item in items])

    def forget(self, job: Job, look: int) -> None:
        """As `JobStore.forget`."""
        keys = [self._key(job.account, job.id), self._pointer(job.id), self._note(_look(job, look))]
        if job.number:
            keys.append(self._numbered(job.account, job.number))
        calls.delete(self._client, keys)

    def get(self, account: str, job: str) -> Job | None:
        """As `JobStore.get`."""
        found = self._read(self._key(account, job))
        return _job(found) if found else None

    def find(self, job: str) -> Job | None:
        """As `JobStore.find`."""
        pointer = self._read(self._pointer(job))
        return self.get(pointer["account"]["S"], job) if pointer else None

    def count(self, account: str) -> int:
        """As `JobStore.count`. An answer that is lost costs a number."""
        with calls.answering():
            answer = self._client.update_item(
                TableName=self._table,
                Key=Key(self._table, f"export-numbers#{account}", "numbers").words,
                UpdateExpression="ADD #last :one",
                ExpressionAttributeNames={"#last": "last"},
                ExpressionAttributeValues={":one": {"N": "1"}},
                ReturnValues="ALL_NEW",
            )
        return int(answer["Attributes"]["last"]["N"])

    def numbered(self, account: str, number: int) -> Job | None:
        """As `JobStore.numbered`."""
        found = self._read(self._numbered(account, number))
        return self.get(account, found["export"]["S"]) if found else None

    def _read(self, key: Key) -> Item | None:
        with calls.answering():
            answer = self._client.get_item(TableName=key.table, Key=key.words, ConsistentRead=True)
        return answer.get("Item")

    def swap(self, job: Job) -> None:
        """As `JobStore.swap`. Every version names who wrote it, so one's own is known by its bytes."""
        item = _item(self._key(job.account, job.id), job)
        try:
            with calls.answering():
                self._client.put_item(
                    TableName=self._table,
                    Item=item,
                    ConditionExpression="#version = :before",
                    ExpressionAttributeNames={"#version": "version"},
                    ExpressionAttributeValues={":before": {"N": str(job.version - 1)}},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except Unavailable as error:
            cause = error.__cause__
            if not isinstance(cause, ClientError) or calls.code(cause) != "ConditionalCheckFailedException":
                raise
            response: Mapping[str, Any] = cause.response
            if response.get("Item", {}).get("data") != item["data"]:
                raise Conflict(f"export {job.id}") from None

    def page(self, account: str, surface: str, parameters: Mapping[str, str], limit: int, after: str) -> Page[Job]:
        """As `JobStore.page`."""
        found: list[Job] = []
        low = f"{after}{FIRST}" if after else FIRST
        for item in calls.query(self._client, self._table, f"exports#{account}", low, LAST):
            job = _job(item)
            if job.surface == surface and parameters.items() <= job.parameters.items():
                if len(found) == limit:
                    return Page(tuple(found), found[-1].id)
                found.append(job)
        return Page(tuple(found), None)

    def due_keys(self, now: float, after: str, limit: int) -> list[str]:
        """As `JobStore.due_keys`."""
        return rolls.keys(self._client, self._table, DUE, after, limit, f"{int(now):010}{LAST}")

    def due_between(self, after: str, until: str) -> list[tuple[str, Look]]:
        """As `JobStore.due_between`."""
        found = calls.query(self._client, self._table, DUE, rolls.following(after), until, ProjectionExpression="sk")
        return [(item["sk"]["S"], _look_at(item["sk"]["S"])) for item in found]

    def look(self, job: Job, at: int) -> None:
        """As `JobStore.look`."""
        with calls.answering():
            self._client.put_item(TableName=self._table, Item=self._note(_look(job, at)).words)

    def move(self, look: Look, at: int | None) -> None:
        """As `JobStore.move`: at once, so that no crash leaves a job without a note."""
        old, new = self._note(look), self._note(look._replace(at=look.at if at is None else at))
        members: list[dict[str, Any]] = []
        if at is not None:
            members.append({"Put": {"TableName": self._table, "Item": new.words}})
        if at != look.at:
            members.append({"Delete": {"TableName": self._table, "Key": old.words}})
        calls.transact(self._client, members)

    def _key(self, account: str, job: str) -> Key:
        return Key(self._table, f"exports#{account}", job)

    def _pointer(self, job: str) -> Key:
        return Key(self._table, f"export#{job}", "export")

    def _numbered(self, account: str, number: int) -> Key:
        return Key(self._table, f"export-numbers#{account}", f"{number:010}")

    def _note(self, look: Look) -> Key:
        return Key(self._table, DUE, f"{look.at:010}#{look.account}#{look.id}")


def _look(job: Job, at: int) -> Look:
    return Look(at, job.account, job.id)


def _item(key: Key, job: Job) -> dict[str, Any]:
    return {
        **key.words,
        "kind": {"S": "export"},
        "version": {"N": str(job.version)},
        "data": {"B": zlib.compress(orjson.dumps(job, default=tuple))},
        "expires": {"N": str(job.expires_at + REMEMBERED)},
    }


def _job(item: Item) -> Job:
    found: dict[str, Any] = orjson.loads(zlib.decompress(item["data"]["B"]))
    progress: dict[str, Any] = found.pop("progress")
    parts = tuple(Part(*part) for part in progress.pop("parts"))
    return Job(**found | {"state": State(found["state"])}, progress=Progress(**progress, parts=parts))


class Bucket:
    """`Files` in a bucket of S3's."""

    def __init__(self, client: "S3Client", public: "S3Client", bucket: str) -> None:
        """`public` signs addresses that clients can reach; it is never asked for anything else."""
        self._client = client
        self._public = public
        self._bucket = bucket

    def create(self, key: str, media_type: str) -> str:
        """As `Files.create`."""
        with _answering():
            made = self._client.create_multipart_upload(Bucket=self._bucket, Key=key, ContentType=media_type)
        return made["UploadId"]

    def put(self, key: str, upload: str, number: int, data: bytes) -> str:
        """As `Files.put`."""
        with _answering():
            done = self._client.upload_part(Bucket=self._bucket, Key=key, UploadId=upload, PartNumber=number, Body=data)
        return done["ETag"]

    def join(self, key: str, upload: str, tags: Sequence[str]) -> None:
        """As `Files.join`."""
        with _answering():
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload,
                MultipartUpload={"Parts": [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]},
            )

    def size(self, key: str) -> int | None:
        """As `Files.size`."""
        try:
            with _answering():
                return self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"]
        except Lost:
            return None

    def read(self, key: str, start: int, length: int) -> bytes:
        """As `Files.read`. The range ends what a broken connection may cost."""
        with _answering():
            try:
                return self._read(key, start, length)
            except (IncompleteReadError, ResponseStreamingError):
                # botocore tries again until an answer begins, not until it ends; a hash would have to begin anew.
                return self._read(key, start, length)

    def _read(self, key: str, start: int, length: int) -> bytes:
        found = self._client.get_object(Bucket=self._bucket, Key=key, Range=f"bytes={start}-{start + length - 1}")
        return found["Body"].read()

    def remove(self, key: str, upload: str) -> None:
        """As `Files.remove`: the upload first, so that nobody makes a file of it any more."""
        if upload:
            try:
                with _answering():
                    self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)
            except Lost:
                pass
        with _answering():
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def link(self, key: str, name: str, media_type: str, seconds: int, method: str = "GET") -> str:
        """As `Files.link`: a presigned URL, which nobody is asked for."""
        with _answering():
            return self._public.generate_presigned_url(
                "head_object" if method == "HEAD" else "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": key,
                    "ResponseContentDisposition": disposition(name),
                    "ResponseContentType": media_type,
                },
                ExpiresIn=seconds,
            )


@contextmanager
def _answering() -> Iterator[None]:
    """Tells in our own words what S3 said."""
    try:
        yield
    except ClientError as error:
        code = calls.code(error)
        if code in _GONE | _MIXED:
            raise Lost(code) from error
        raise Unavailable(f"S3: {code}") from error
    except BotoCoreError as error:
        raise Unavailable(f"S3: {type(error).__name__}") from error


def _look_at(key: str) -> Look:
    at, account, job = key.split("#")
    return Look(int(at), account, job)
