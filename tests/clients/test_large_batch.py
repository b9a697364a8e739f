"""The largest request that there is: 500 page views with all fields as long as they may be."""

import json
import random
import string

from tests.clients.stack import Aws, Service, until

DAY = "1999-12-31"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0 "
LETTERS = string.ascii_letters + string.digits


def test_500_maximal_hits_are_accepted_and_counted_whole(aws: Aws, beside: Service) -> None:
    """Three megabytes: too much for a queue message and for one segment. 500 visits, and nothing else."""
    chance = random.Random(500)

    def text(length: int, letters: str = LETTERS) -> str:
        return "".join(chance.choices(letters, k=length))

    hits = [
        {
            "path": f"/{text(2047)}",
            "title": text(1024),
            "ref": f"https://{text(20)}.example/{text(2011)}",
            "query": f"utm_campaign={text(100)}",
            "user_agent": BROWSER + text(512 - len(BROWSER), string.digits),
            "location": "NL",
            "language": "nl-NL",
            "size": "2147483647,2147483647,2",
            "ip": f"2001:db8:{n:x}:ffff:ffff:ffff:ffff:ffff",
            "session": text(200),
            "created_at": f"{DAY}T12:00:00.000000Z",
            "event": False,
            "bot": 0,
        }
        for n in range(500)
    ]
    body = json.dumps({"no_sessions": False, "filter": [], "hits": hits}).encode()
    assert 2_900_000 < len(body) < 4_500_000
    segments = _segments(aws, beside)
    before = _stored(aws, beside)
    answer = beside.request("POST", "count", content=body)
    assert (answer.status_code, answer.json()) == (202, {"status": "ok"})
    query = {"start": DAY, "end": f"{DAY}T23:59:59Z"}
    until("the page views are counted", lambda: beside.total(**query) == 500)
    assert not any(aws.settle().values())
    rows = list(beside.pages(**query))
    assert {row["path"]: row["title"] for row in rows} == {hit["path"]: hit["title"] for hit in hits}
    assert all((row["count"], row["stats"][0]["hourly"][12]) == (1, 1) for row in rows)
    [(_, size)] = _stored(aws, beside) - before
    assert size > 900_000
    assert _segments(aws, beside) - segments > 2
    aws.sweep(beside.stream)
    assert beside.total(**query) == 500
    aws.audit(beside.stream)


def _stored(aws: Aws, service: Service) -> set[tuple[str, int]]:
    """Names and sizes of the site's bodies in the bucket, in which other tests have files of theirs made meanwhile."""
    bucket = aws.environment()["COUNTLESS_BUCKET"]
    found = aws.s3.list_objects_v2(Bucket=bucket, Prefix=f"bodies/{service.stream}/")
    return {(item["Key"], item["Size"]) for item in found.get("Contents", [])}


def _segments(aws: Aws, service: Service) -> int:
    """How many the site's log holds."""
    found = aws.dynamodb.query(
        TableName=aws.environment()["COUNTLESS_LOG_TABLE"],
        KeyConditionExpression="stream = :stream",
        ExpressionAttributeValues={":stream": {"S": service.stream}},
        Select="COUNT",
    )
    return int(found["Count"])
