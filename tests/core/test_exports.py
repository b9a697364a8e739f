"""Exports: whatever fails, each file is the same bytes, and each job tells the truth about it."""

import json
import secrets
import zlib
from collections.abc import Iterator, Sequence
from itertools import count
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ResponseStreamingError
from botocore.response import StreamingBody

from chalicelib import wiring
from chalicelib.aws import clients
from chalicelib.aws.exports import Bucket
from chalicelib.core import exporting, exports
from chalicelib.core.errors import Invalid, NotFound, Poison, Unauthenticated, Unavailable
from chalicelib.core.exporting import HEADER, LEASE, RESTARTS, TRIES, Chunk
from chalicelib.core.exports import GZIP, Job, Lost, State, disposition
from tests.conftest import World
from tests.core.exporting import (
    AFTER,
    BEFORE,
    CRASH_AFTER,
    CRASH_BEFORE,
    KINDS,
    PART,
    Crash,
    Numbers,
    Stage,
    Strike,
    striking,
)
from tests.dynamo import standing_in


@pytest.fixture
def stage(world: World) -> Iterator[Stage]:
    """A stage for an account of its own, over tables in memory."""
    with standing_in(), Stage(world, f"acc_{secrets.token_hex(6)}").set() as made:
        yield made


def members(data: bytes) -> list[bytes]:
    """The gzip members of a file, each as it is."""
    found = []
    while data:
        reader = zlib.decompressobj(wbits=31)
        reader.decompress(data)
        assert reader.eof
        found.append(data[: len(data) - len(reader.unused_data)])
        data = reader.unused_data
    return found


def plain(stage: Stage) -> bytes:
    """The file that comes of an undisturbed run."""
    job = stage.begin()
    stage.settle()
    return stage.finished(job)


# --- what a file is -----------------------------------------------------------------------------------------------


def test_each_part_is_a_gzip_member_that_says_nothing_of_when_and_where(stage: Stage) -> None:
    """It ends behind the first chunk at which it is large enough, and the next begins anew."""
    found = members(plain(stage))
    assert len(found) == 3
    assert {member[:10] for member in found} == {HEADER}
    assert HEADER[4:8] == bytes(4)
    assert all(len(member) >= PART for member in found[:-1])
    texts = [zlib.decompress(member, wbits=31) for member in found]
    assert [text.count(b"\n") % 7 for text in texts[:-1]] == [1, 0]


def test_an_export_of_nothing_is_a_file_all_the_same(stage: Stage) -> None:
    """With its header; and even a source that has none makes a valid file."""
    for source, text in ((Numbers(0), b"number,noise\r\n"), (Silent(), b"")):
        stage.source = lambda _, source=source: source  # type: ignore[misc]
        job = stage.begin()
        stage.settle()
        found = stage.job(job)
        assert (found.state, found.rows) == (State.FINISHED, 0)
        assert zlib.decompress(stage.file(job), wbits=31) == text


class Silent:
    """A source of nothing."""

    def chunks(self, after: str) -> Iterator[Chunk]:
        """No chunk."""
        del after
        yield from ()


def test_a_file_that_ends_with_its_part_has_no_empty_part(stage: Stage) -> None:
    """Whatever the number of rows, and also if it dies behind the last part's checkpoint."""
    for rows in range(0, 64, 7):
        stage.source = lambda _, rows=rows: Numbers(rows)  # type: ignore[misc]
        job = stage.begin()
        stage.settle()
        found = members(stage.finished(job, rows))
        assert all(zlib.decompress(member, wbits=31) for member in found)


def test_a_file_is_the_same_however_often_it_is_handed_over(stage: Stage) -> None:
    """A run makes one part at least, and asks for the next before its time is up."""
    expected = plain(stage)
    stage.seconds = 1.0
    job = stage.begin()
    states = []
    for _ in range(20):
        bodies = stage.drain()
        if not bodies:
            break
        assert len(bodies) == 1
        assert stage.deliver(bodies[0])
        found = stage.job(job)
        assert found.until == 0.0, "what is handed over is anybody's"
        states.append((found.state, len(found.progress.parts), found.rows))
    assert stage.finished(job) == expected
    assert [rows for _, _, rows in states] == sorted(rows for _, _, rows in states)
    assert states[0][:2] == (State.RUNNING, 1)
    assert len(states) == 4, "a part each, and the hash"


# --- what may go wrong --------------------------------------------------------------------------------------------


LONG = pytest.mark.prove
SOME = [pytest.param(kind, marks=() if kind in (AFTER, CRASH_AFTER) else LONG) for kind in KINDS]


@pytest.mark.parametrize("seconds", [1.0, pytest.param(300.0, marks=LONG)])
@pytest.mark.parametrize("kind", SOME)
def test_whichever_call_fails_the_file_is_the_same(stage: Stage, kind: int, seconds: float) -> None:
    """Any call to table, bucket or queue, before or after it took effect: no gap, no double row, the same bytes, the
    same hash; and the job is finished once.
    """
    expected = plain(stage)
    stage.seconds = seconds
    for skip in count():
        job = stage.begin()
        strike = Strike(skip, kind)
        stage.settle(strike)
        assert stage.finished(job) == expected, skip
        assert stage.parked == []
        if not strike.struck:
            break
    assert skip > 15
    assert (stage.deaths > 15) == (kind >= CRASH_BEFORE)


@pytest.mark.parametrize("seconds", [300.0, pytest.param(1.0, marks=LONG)])
@pytest.mark.parametrize("salt", ["other", pytest.param("", marks=LONG)])
def test_a_worker_that_lost_its_lease_harms_nobody(stage: Stage, seconds: float, salt: str) -> None:
    """It stops for longer than its lease before any of its calls, another makes the whole file meanwhile, and then it
    goes on: also if the other one read rows that had changed.
    """
    for skip in count():
        stage.source = lambda _: Numbers(60)
        stage.seconds = seconds
        job = stage.begin()
        body = json.dumps({"account": stage.account, "export": job.id})

        def meanwhile(body: str = body, job: Job = job) -> None:
            stage.now += LEASE + 1
            stage.source = lambda _: Numbers(60, salt)
            stage.seconds = 300.0
            while not stage.deliver(body):
                stage.now += LEASE + 1
            stage.finished(job)

        strike = Strike(skip, meanwhile=meanwhile)
        stage.settle(strike)
        stage.finished(job)
        assert stage.parked == []
        if not strike.struck:
            break
    assert skip > 15


@pytest.mark.parametrize("salt", ["other", pytest.param("", marks=LONG)])
def test_two_workers_that_interleave_make_one_file(stage: Stage, salt: str) -> None:
    """The one comes before any call of the other, takes the job over for a single part, and leaves it at that."""
    for skip in count():
        stage.source = lambda _: Numbers(60)
        stage.seconds = 300.0
        job = stage.begin()
        body = json.dumps({"account": stage.account, "export": job.id})

        def meanwhile(body: str = body) -> None:
            stage.now += LEASE + 1
            stage.source = lambda _: Numbers(60, salt)
            stage.seconds = 1.0
            stage.deliver(body)
            stage.now += LEASE + 1

        strike = Strike(skip, meanwhile=meanwhile)
        stage.settle(strike)
        stage.finished(job)
        if not strike.struck:
            break
    assert skip > 15


def test_what_another_works_on_stays_in_the_queue(stage: Stage) -> None:
    """Until it is finished: should that one die, the message comes again."""
    job = stage.begin()
    (body,) = stage.drain()
    said = []

    def meanwhile() -> None:
        said.append(stage.deliver(body))

    with striking(Strike(8, meanwhile=meanwhile)):
        assert stage.deliver(body)
    assert said == [False]
    assert stage.deliver(body)
    stage.finished(job)


def test_a_slow_worker_keeps_its_lease(stage: Stage) -> None:
    """Each sign of life makes it longer, however long a part takes."""
    job = stage.begin()
    (body,) = stage.drain()
    others = []

    class Slow(Numbers):
        def chunks(self, after: str) -> Iterator[Chunk]:
            for chunk in super().chunks(after):
                stage.now += LEASE * 0.6
                others.append(stage.job(job).until > stage.now)
                yield chunk

    stage.source = lambda _: Slow(60)
    assert stage.deliver(body)
    stage.finished(job)
    assert all(others)


def test_an_upload_that_is_gone_is_begun_anew(stage: Stage) -> None:
    """The bucket aborts what is unfinished for a day."""
    expected = plain(stage)
    stage.seconds = 1.0
    job = stage.begin()
    assert stage.deliver(stage.drain()[0])
    wiring._export_ports().files.remove(job.key, stage.uploads(job)[0])
    stage.settle()
    assert stage.finished(job) == expected
    assert stage.job(job).restarts == 1


def test_a_file_whose_parts_were_mixed_up_is_begun_anew(stage: Stage) -> None:
    """As by a worker that was thought dead and uploads an old part at last."""
    expected = plain(stage)
    stage.seconds = 1.0
    job = stage.begin()
    assert stage.deliver(stage.drain()[0])
    wiring._export_ports().files.put(job.key, stage.uploads(job)[0], 1, b"an old part")
    stage.settle()
    assert stage.finished(job) == expected
    assert stage.uploads(job) == []


def test_a_worker_that_stopped_while_it_began_anew_removes_nothing_of_another_s(stage: Stage) -> None:
    """It goes on before any of its calls after another has made the whole file: what it removes is its own."""
    expected = plain(stage)
    for skip in count():
        stage.seconds = 1.0
        job = stage.begin()
        (body,) = stage.drain()
        assert stage.deliver(body)
        wiring._export_ports().files.put(job.key, stage.uploads(job)[0], 1, b"an old part")
        stage.seconds = 300.0

        def meanwhile(body: str = body, job: Job = job) -> None:
            stage.now += LEASE + 1
            while not stage.deliver(body):
                stage.now += LEASE + 1
            stage.finished(job)

        strike = Strike(skip, meanwhile=meanwhile)
        with striking(strike):
            stage.deliver(body)
        stage.settle()
        assert stage.finished(job) == expected, skip
        if not strike.struck:
            break
    assert skip > 15


def test_a_file_that_was_given_up_is_removed_with_the_last(stage: Stage) -> None:
    """Should the worker that gave it up have died before it removed it."""
    job = stage.begin()
    client = stage.world.client("s3")
    bucket = stage.world.environment["COUNTLESS_BUCKET"]
    stage.seconds = 1.0
    while not stage.job(job).progress.joined:
        assert stage.deliver(stage.drain()[0])
    client.put_object(Bucket=bucket, Key=job.key, Body=b"spoiled")
    stage.seconds = 300.0
    stage.settle()
    found = stage.job(job)
    assert found.key != job.key
    client.put_object(Bucket=bucket, Key=job.key, Body=b"not removed")
    stage.now = found.expires_at
    stage.tend()
    stage.tend()
    assert stage.job(job).state is State.EXPIRED
    assert not stage.has_file(job)


@pytest.mark.parametrize("skip", [0, 4, 8, 12])
def test_what_is_withdrawn_while_it_is_made_is_made_no_further(stage: Stage, skip: int) -> None:
    """Also if everything was read by then, so that nobody would ask its source any more."""
    job = stage.begin(domain="dom_1")
    (body,) = stage.drain()
    withdraw = wiring.exports().withdraw
    with striking(Strike(skip, meanwhile=lambda: withdraw(stage.account, "test", {"domain": "dom_1"}))):
        stage.deliver(body)
    stage.now += LEASE + 1
    stage.settle()
    found = stage.job(job)
    assert (found.state, found.error) == (State.FAILED, exports.GONE)
    stage.tend()
    assert not stage.has_file(job)


@pytest.mark.parametrize("skip", [0, 4, 8, 12])
def test_what_is_ended_while_it_is_made_is_made_no_further(stage: Stage, skip: int) -> None:
    """Its owner does not want it any more: no failure, and nothing for an operator to look at."""
    job = stage.begin()
    (body,) = stage.drain()

    def meanwhile() -> None:
        wiring.exports().end(stage.account, job.id)

    with striking(Strike(skip, meanwhile=meanwhile)):
        stage.deliver(body)
    stage.now += LEASE + 1
    stage.settle()
    found = stage.job(job)
    assert (found.state, found.error, stage.parked) == (State.EXPIRED, None, [])
    stage.tend()
    assert not stage.has_file(job)
    assert stage.uploads(job) == []


def test_a_connection_that_breaks_while_the_file_is_read_costs_a_part(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read once more, and the run goes on."""
    read, breaks = StreamingBody.read, iter((True, False, True))

    def broken(body: StreamingBody, amt: int | None = None) -> bytes:
        data = read(body, amt)
        if next(breaks, False):
            raise ResponseStreamingError(error="connection reset")
        return data

    monkeypatch.setattr(StreamingBody, "read", broken)
    job = stage.begin()
    assert stage.deliver(stage.drain()[0])
    assert next(breaks, None) is None, "both were met"
    assert stage.finished(job)


def test_a_file_that_was_joined_already_is_good(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 may forget an upload as soon as it has made a file of it, while the answer was lost."""
    join = Bucket.join

    def lose(bucket: Bucket, key: str, upload: str, tags: Sequence[str]) -> None:
        join(bucket, key, upload, tags)
        raise Lost("NoSuchUpload")

    monkeypatch.setattr(Bucket, "join", lose)
    job = stage.begin()
    stage.settle()
    assert stage.finished(job)
    assert stage.job(job).restarts == 0


def test_a_file_that_is_not_what_was_uploaded_is_not_given_out(stage: Stage) -> None:
    """It is made anew, and should that never help, it fails."""
    job = stage.begin()
    client = stage.world.client("s3")
    bucket = stage.world.environment["COUNTLESS_BUCKET"]
    stage.seconds = 1.0
    spoiled = 0
    for _ in range(40):
        bodies = stage.drain()
        if not bodies:
            break
        if stage.job(job).progress.joined:
            client.put_object(Bucket=bucket, Key=stage.job(job).key, Body=bytes(len(stage.file(job))))
            spoiled += 1
        assert all(stage.deliver(body) for body in bodies)
    found = stage.job(job)
    assert (found.state, found.error) == (State.FAILED, exports.REPEATEDLY)
    assert spoiled == RESTARTS + 1
    assert not stage.has_file(job)


# --- what fails for good ------------------------------------------------------------------------------------------


class Failing:
    """A source that gives something and then fails."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def chunks(self, after: str) -> Iterator[Chunk]:
        """Some chunks, then the error."""
        for number, chunk in enumerate(Numbers(60).chunks(after)):
            if number == 4:
                raise self._error
            yield chunk


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotFound("group"), exports.GONE),
        (Unauthenticated("gone"), exports.GONE),
        (Poison("never"), exports.BROKEN),
        (Invalid("Too much."), "Too much."),
    ],
)
def test_what_no_repetition_mends_fails_at_once(stage: Stage, error: Exception, words: str) -> None:
    """The job says so in words for users, the request is in the dead-letter queue, and nothing is left of the file."""
    stage.source = lambda _: Failing(error)
    job = stage.begin()
    stage.settle()
    found = stage.job(job)
    assert (found.state, found.error, found.size, found.sha256) == (State.FAILED, words, None, None)
    assert found.finished_at is not None
    assert [json.loads(body)["export"] for body in stage.parked] == [job.id]
    assert stage.uploads(job) == []
    with pytest.raises(NotFound):
        wiring.exports().download(found)


def test_what_fails_again_and_again_is_given_up(stage: Stage) -> None:
    """After a number of tries in which nothing was achieved; what was achieved meanwhile gives it new ones."""
    stage.source = lambda _: Failing(OSError("not for users"))
    job = stage.begin()
    (body,) = stage.drain()
    tries = [stage.deliver(body) for _ in range(TRIES)]
    assert tries == [False] * (TRIES - 1) + [True]
    found = stage.job(job)
    assert (found.state, found.error) == (State.FAILED, exports.REPEATEDLY)
    stage.drain()
    assert [json.loads(body)["export"] for body in stage.parked] == [job.id]


def test_what_kills_its_processes_is_given_up(stage: Stage) -> None:
    """They cannot say so; the one after them does."""
    stage.source = lambda _: Failing(Crash())
    job = stage.begin()
    stage.settle()
    assert stage.job(job).error == exports.REPEATEDLY
    assert stage.deaths == TRIES
    assert len(stage.parked) == 1


@pytest.mark.parametrize("kind", SOME)
def test_a_failure_is_told_whichever_call_fails(stage: Stage, kind: int) -> None:
    """On the job, and in the dead-letter queue at least once."""
    stage.source = lambda _: Failing(NotFound("group"))
    for skip in count():
        stage.parked.clear()
        job = stage.begin()
        strike = Strike(skip, kind)
        stage.settle(strike)
        found = stage.job(job)
        assert (found.state, found.error, found.parked) == (State.FAILED, exports.GONE, True), skip
        assert {json.loads(body)["export"] for body in stage.parked} == {job.id}
        if not strike.struck:
            break
    assert skip > 5


def test_a_request_that_an_operator_sends_back_has_the_job_begun_anew(stage: Stage) -> None:
    """Once; what is finished or expired stays so."""
    expected = plain(stage)
    stage.source = lambda _: Failing(NotFound("group"))
    job = stage.begin()
    stage.settle()
    stage.tend()
    assert stage.notes(job) == []
    stage.source = lambda _: Numbers(60)
    assert stage.deliver(stage.parked[0])
    assert stage.finished(job) == expected
    assert len(stage.notes(job)) == 1, "its file will be removed in its time"
    before = stage.job(job)
    assert stage.deliver(stage.parked[0])
    assert stage.job(job) == before


@pytest.mark.parametrize("body", ["", "{}", "[]", "null", '{"account": "a"}', "garbage"])
def test_what_is_no_request_is_parked(stage: Stage, body: str) -> None:
    """As it is, at once."""
    assert stage.deliver(body)
    stage.drain()
    assert stage.parked == [body]


def test_a_surface_that_nobody_exports_fails(stage: Stage) -> None:
    """A deployment that was rolled back may meet one."""
    job = wiring.exports().begin(stage.account, "unheard", "x", {}, stage.now)
    stage.settle()
    assert stage.job(job).error == exports.BROKEN


def test_a_request_for_a_job_that_is_no_more_is_done(stage: Stage) -> None:
    """Nobody misses it."""
    assert stage.deliver(json.dumps({"account": stage.account, "export": "exp_gone"}))
    stage.drain()
    assert stage.parked == []


def test_a_file_has_so_many_parts_and_no_more(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job says that it would be too large."""
    monkeypatch.setattr(exporting, "MOST_PARTS", 2)
    job = stage.begin()
    stage.settle()
    assert stage.job(job).error == exporting.TOO_LARGE


# --- asking, looking, expiry --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [BEFORE, AFTER])
def test_what_cannot_be_asked_for_is_refused(stage: Stage, kind: int) -> None:
    """And leaves no trace but, where the table itself does not answer, a job that the schedule finds later."""
    for skip in range(2):
        with striking(Strike(skip, kind)), pytest.raises(Unavailable):
            stage.begin()
        listed = wiring.exports().jobs(stage.account, "test", 10, "").entries
        assert len(listed) == (skip == 0 and kind == AFTER)
        for job in listed:
            stage.tend()
            stage.settle()
            stage.finished(job)
            wiring._export_ports().jobs.forget(job, 0)
        stage.settle()


def test_a_finished_file_is_there_for_a_day(stage: Stage) -> None:
    """Then the job says that it has expired, at once; the schedule removes the file, and later the job ends too."""
    job = stage.begin()
    stage.settle()
    found = stage.job(job)
    assert found.expires_at == found.finished_at + 86_400  # type: ignore[operator]
    assert wiring.exports().read(found) == stage.finished(job)
    for _ in range(23):
        stage.tend()
        assert stage.finished(job)
        assert stage.notes(job) == [(found.expires_at, stage.account, job.id)]
    stage.now = found.expires_at
    assert stage.job(job).state is State.EXPIRED
    assert stage.has_file(job)
    for refused in (wiring.exports().download, wiring.exports().read):
        with pytest.raises(NotFound):
            refused(found)
    stage.tend()
    expired = stage.job(job)
    assert (expired.state, expired.size, expired.expires_at) == (State.EXPIRED, found.size, found.expires_at)
    assert not stage.has_file(job)
    assert stage.notes(job) == []


@pytest.mark.parametrize("kind", SOME)
def test_expiry_goes_on_whichever_call_fails(stage: Stage, kind: int) -> None:
    """The next hour does what this one could not."""
    for skip in count():
        job = stage.begin()
        stage.settle()
        stage.tend()
        stage.now += 86_400
        strike = Strike(skip, kind)
        stage.tend(strike)
        stage.tend()
        assert stage.job(job).state is State.EXPIRED
        assert not stage.has_file(job)
        assert stage.notes(job) == []
        if not strike.struck:
            break
    assert skip > 4


def test_a_job_whose_message_was_lost_is_asked_for_again(stage: Stage) -> None:
    """Before it began, or on the way; one that somebody works on is left alone."""
    job = stage.begin()
    assert stage.drain(), "lost"
    stage.now += 100
    stage.tend()
    (body,) = stage.drain()
    stage.seconds = 1.0
    assert stage.deliver(body)
    assert stage.drain(), "lost"
    stage.tend()
    stage.seconds = 300.0
    (body,) = stage.drain()

    def meanwhile() -> None:
        for _, look in wiring.exports().due_between("", f"{int(stage.now):010}~"):
            wiring.exports().tend(look)

    with striking(Strike(6, meanwhile=meanwhile)):
        assert stage.deliver(body)
    assert stage.drain() == []
    stage.finished(job)


def test_what_is_not_made_within_a_day_fails(stage: Stage) -> None:
    """Its job says so, and its upload goes."""
    stage.seconds = 1.0
    job = stage.begin()
    assert stage.deliver(stage.drain()[0])
    assert stage.uploads(job)
    stage.now += 86_400
    stage.tend()
    found = stage.job(job)
    assert (found.state, found.error) == (State.FAILED, exports.LATE)
    assert stage.uploads(job) == []
    assert stage.notes(job) == []
    stage.settle()
    assert len(stage.parked) == 1
    assert stage.job(job) == found


def test_jobs_are_found_by_account_and_by_id_alone(stage: Stage) -> None:
    """No account sees another's; a link finds its job."""
    job = stage.begin(domain="dom_1")
    assert wiring.exports().job(stage.account, job.id) == job
    assert wiring.exports().linked(job.id) == job
    with pytest.raises(NotFound):
        wiring.exports().job("acc_other", job.id)
    with pytest.raises(NotFound):
        wiring.exports().linked("exp_unknown")


def test_jobs_are_listed_by_page_surface_and_parameters(stage: Stage) -> None:
    """In the order in which they were asked for."""
    made = []
    for number in range(5):
        stage.now += 1
        made.append(stage.begin(domain=f"dom_{number % 2}"))
    wiring.exports().begin(stage.account, "another", "x", {"domain": "dom_0"}, stage.now)
    ask = wiring.exports().jobs
    assert list(ask(stage.account, "test", 10, "").entries) == made
    first = ask(stage.account, "test", 2, "", {"domain": "dom_0"})
    assert list(first.entries) == [made[0], made[2]]
    assert first.after == made[2].id
    rest = ask(stage.account, "test", 2, made[2].id, {"domain": "dom_0"})
    assert (list(rest.entries), rest.after) == ([made[4]], None)


@pytest.mark.parametrize("region", ["eu-central-1", "ap-southeast-2"])
def test_a_link_names_the_bucket_s_region(world: World, monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    """The global endpoint sends on to another host while a bucket is young, for which nothing was signed."""
    assert world
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    wiring.forget()
    address = urlsplit(Bucket(clients.files(), clients.files(), "some-bucket").link("exports/a/e/0", "n.gz", GZIP, 60))
    wiring.forget()
    assert address.hostname == f"some-bucket.s3.{region}.amazonaws.com"


def test_names_of_files_are_safe_in_a_header() -> None:
    """A plain name for old clients, the real one for all others."""
    assert disposition("countless-a.csv.gz") == 'attachment; filename="countless-a.csv.gz"'
    evil = disposition('ü"\r\nSet-Cookie: x\\.gz')
    assert evil.startswith("attachment; filename=\"____Set-Cookie: x_.gz\"; filename*=UTF-8''%C3%BC%22%0D%0A")
    assert "\n" not in evil
