"""Makes the files of exports: in flat memory, and the same bytes whatever happens on the way.

A source gives chunks of text; they are compressed into gzip members, and each member is one part of a multipart
upload. What a source has packed itself, such as an archive, goes into parts as it is. A part ends behind the first
chunk at which its bytes are enough for a part: the data alone say where, never the time, so a part that is made again
is the same. What is checkpointed after each part is how far the source was read and which parts there are. Whoever
takes over reads on from there; should the one before it be alive after all, it finds the job changed at its next
checkpoint, and stops.

At last the whole file is read once more: for its SHA-256, and to see that every part is what was uploaded.
"""

import hashlib
import secrets
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from enum import Enum, auto
from typing import NamedTuple, NoReturn, Protocol

from .errors import Conflict, Invalid, NotFound, Poison, Unauthenticated, Unavailable
from .exports import BROKEN, GONE, REPEATEDLY, ZIP, Job, Lost, Part, Ports, Progress, State, fail, park

PART = 8 * 1024 * 1024
"""Bytes of a part, at least: S3 takes 5 MiB and more, but for the last."""
MOST_PARTS = 1_200
"""So many can be read again for their hash before a function's time is up, and fit into the job's item."""
LEVEL = 6
HEADER = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255))
"""A gzip header without name, time, and operating system (RFC 1952)."""
LEASE = 30.0
"""Seconds for which a worker has a job to itself, from each sign of life on."""
RENEWED = 10.0
MARGIN = 20.0
"""Seconds that must be left after the next part."""
HASHED = 40_000_000
"""Bytes a second that can be read again, at least."""
TRIES = 10
"""How often work begins without anything achieved, before it is given up."""
RESTARTS = 3
TOO_LARGE = "This export would be larger than a file may be. Please export less at once."
PERMANENT = (NotFound, Unauthenticated, Invalid, Poison)
"""What a source raises if no repetition helps: gone, gone with its owner, against a rule (told to the user), broken."""


class Chunk(NamedTuple):
    """A piece of a file. One that says again where the last one ended, and no more, is a sign of life: of a source that
    has to pass over much.
    """

    after: str
    """Names the last that it holds; empty for a header that stands alone."""
    rows: int
    data: bytes


class Source(Protocol):
    """What is exported."""

    def chunks(self, after: str) -> Iterator[Chunk]:
        """The file's pieces from its beginning, or behind the piece of this name; always cut at the same places."""


class Outcome(Enum):
    """What a run has come to."""

    DONE = auto()
    """Nothing is left to be made."""
    HANDED_OVER = auto()
    """The rest is for another run, which was asked for."""
    BUSY = auto()
    """Somebody else is at work."""


class Failed(Exception):
    """The export failed for good: the job says so, and the dead-letter queue knows. Its cause is why."""


class _Taken(Exception):
    """Somebody else has the job."""


class Member:
    """A gzip member that grows."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._pieces = [HEADER]
        self._check = 0
        self._raw = 0
        self.size = len(HEADER)
        """Bytes that have come out so far."""
        self.begun = False

    def add(self, data: bytes) -> None:
        """Takes in some more."""
        self.begun = True
        self._check = zlib.crc32(data, self._check)
        self._raw += len(data)
        if piece := self._deflate.compress(data):
            self._pieces.append(piece)
            self.size += len(piece)

    def end(self) -> bytes:
        """The whole member."""
        trailer = self._check.to_bytes(4, "little") + (self._raw & 0xFFFFFFFF).to_bytes(4, "little")
        return b"".join((*self._pieces, self._deflate.flush(), trailer))


class Plain:
    """A part that grows by bytes which stay as they are."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.size = 0
        """Bytes so far."""

    @property
    def begun(self) -> bool:
        """Whether there are any."""
        return bool(self.size)

    def add(self, data: bytes) -> None:
        """Takes in some more."""
        self._pieces.append(data)
        self.size += len(data)

    def end(self) -> bytes:
        """The whole part."""
        return b"".join(self._pieces)


def _new_part(job: Job) -> Member | Plain:
    return Plain() if job.media_type == ZIP else Member()


class Exporter:
    """Works on jobs."""

    def __init__(self, ports: Ports, *, part: int = PART) -> None:
        """`part` is how many bytes a part must have, at least."""
        self._ports = ports
        self._part = part

    def run(
        self, job: Job, source: Callable[[Job], Source], remaining: Callable[[], float], *, again: bool = False
    ) -> Outcome:
        """Makes as much of a job's file as time allows; `remaining` says how many seconds are left.

        At least one part is made, however little time there is. With `again`, a job that failed is begun anew.

        Raises:
            Failed: it is over with the job.
            Exception: whatever the world raised; the run may be repeated, and will find what this one achieved.
        """
        work = _Work(self._ports, job, remaining, self._part)
        try:
            if job.state is State.FAILED and again:
                self._ports.jobs.look(job, int(self._ports.clock()))
            elif job.over:
                if job.state is State.FAILED and not job.parked:
                    park(self._ports, job, work.me)
                return Outcome.DONE
            return work.run(source)
        except _Taken:
            return Outcome.BUSY


class _Work:
    """One run of one job."""

    def __init__(self, ports: Ports, job: Job, remaining: Callable[[], float], part: int) -> None:
        self._ports = ports
        self._job = job
        self._remaining = remaining
        self._part = part
        self._fresh = True
        """Whether this run has made nothing yet."""
        self.me = secrets.token_hex(8)

    def run(self, source: Callable[[Job], Source]) -> Outcome:
        """Takes the job, works on it, and lets go of it."""
        self._take()
        try:
            return self._work(source)
        except (_Taken, Failed):
            raise
        except PERMANENT as error:
            self._fail(_words(error), error)
        except Exception as error:
            if self._job.tries >= TRIES:
                self._fail(REPEATEDLY, error)
            with suppress(Unavailable, _Taken):  # else the lease ends by itself
                self._save(replace(self._job, until=0.0))
            raise

    def _take(self) -> None:
        now = self._ports.clock()
        if self._job.until > now:
            raise _Taken
        if self._job.state is State.FAILED:
            self._job = replace(
                self._job,
                rows=0,
                error=None,
                finished_at=None,
                tries=0,
                restarts=0,
                attempt=self._job.attempt + 1,
                parked=False,
                progress=Progress(),
            )
        if self._job.tries >= TRIES:  # the processes before this one did not live to say so
            self._fail(REPEATEDLY, None)
        self._save(replace(self._job, state=State.RUNNING, tries=self._job.tries + 1, until=now + LEASE))

    def _save(self, job: Job) -> None:
        """Swaps the job.

        Raises:
            _Taken: it is somebody else's now.
        """
        changed = job.next(self._ports.clock(), self.me)
        try:
            self._ports.jobs.swap(changed)
        except Conflict:
            raise _Taken from None
        self._job = changed

    def _checkpoint(self, job: Job) -> None:
        """Saves what was achieved, and goes on."""
        self._fresh = False
        self._save(replace(job, tries=0, until=self._ports.clock() + LEASE))

    def _live(self) -> None:
        """Shows that somebody is at work."""
        now = self._ports.clock()
        if now > self._job.until - LEASE + RENEWED:
            self._save(replace(self._job, until=now + LEASE))

    def _fail(self, words: str, error: Exception | None) -> NoReturn:
        try:
            fail(self._ports, self._job, words, self.me)
        except Conflict:
            raise _Taken from None
        raise Failed(self._job.id) from error

    def _work(self, source: Callable[[Job], Source]) -> Outcome:
        while True:
            try:
                done = self._make(source)
            except Lost as error:
                self._restart(error)
            else:
                if done:
                    return Outcome.DONE
                self._save(replace(self._job, tries=0, until=0.0))
                self._ports.queue.ask(self._job)
                return Outcome.HANDED_OVER

    def _restart(self, error: Lost) -> None:
        """Begins anew: parts that two workers have mixed up, or that were gone, are none of a file."""
        job = self._job
        if job.restarts >= RESTARTS:
            self._fail(REPEATEDLY, error)
        until = self._ports.clock() + LEASE
        anew = replace(job, rows=0, restarts=job.restarts + 1, attempt=job.attempt + 1, progress=Progress())
        self._save(replace(anew, until=until))
        self._ports.files.remove(job.key, job.progress.upload)

    def _make(self, source: Callable[[Job], Source]) -> bool:
        """Does what is left; whether that was all."""
        if not self._job.progress.read and not self._upload(source):
            return False
        if not self._job.progress.joined:
            self._join()
        size = sum(part.size for part in self._job.progress.parts)
        if not self._fresh and self._remaining() < MARGIN + size / HASHED:
            return False
        self._finish()
        return True

    # --- rows into parts --------------------------------------------------------------------------------------

    def _upload(self, source: Callable[[Job], Source]) -> bool:
        """Makes parts; whether they hold everything now."""
        if not self._job.progress.upload:
            upload = self._ports.files.create(self._job.key, self._job.media_type)
            self._save(replace(self._job, progress=Progress(upload=upload)))
        part, rows, cursor = _new_part(self._job), 0, self._job.progress.cursor
        left, slowest = self._remaining(), 0.0
        for chunk in source(self._job).chunks(cursor):
            self._live()
            if chunk == (cursor, 0, b""):
                continue
            part.add(chunk.data)
            rows += chunk.rows
            cursor = chunk.after
            if part.size >= self._part and cursor:
                self._put(part, rows, cursor)
                part, rows = _new_part(self._job), 0
                before, left = left, self._remaining()
                slowest = max(slowest, before - left)
                if left < MARGIN + 2 * slowest:
                    return False
        if part.begun or not self._job.progress.parts:
            self._put(part, rows, cursor, read=True)
        else:
            self._checkpoint(replace(self._job, progress=replace(self._job.progress, read=True)))
        return True

    def _put(self, part: Member | Plain, rows: int, cursor: str, *, read: bool = False) -> None:
        """Uploads a part, and checkpoints it."""
        progress = self._job.progress
        if len(progress.parts) >= MOST_PARTS:
            raise Invalid(TOO_LARGE)
        data = part.end()
        tag = self._ports.files.put(self._job.key, progress.upload, len(progress.parts) + 1, data)
        parts = (*progress.parts, Part(tag, len(data), zlib.crc32(data)))
        reached = replace(progress, cursor=cursor, parts=parts, read=read)
        self._checkpoint(replace(self._job, rows=self._job.rows + rows, progress=reached))

    # --- parts into a file ------------------------------------------------------------------------------------

    def _join(self) -> None:
        """Has the bucket make a file of the parts; that somebody has done so already is as good."""
        self._live()
        job, progress = self._job, self._job.progress
        try:
            self._ports.files.join(job.key, progress.upload, [part.tag for part in progress.parts])
        except Lost:
            if self._ports.files.size(job.key) != sum(part.size for part in progress.parts):
                raise
        self._checkpoint(replace(job, progress=replace(progress, joined=True)))

    def _finish(self) -> None:
        """Reads the file once more, part by part, and says what it is."""
        hashed = hashlib.sha256()
        start = 0
        for part in self._job.progress.parts:
            self._live()
            data = self._ports.files.read(self._job.key, start, part.size)
            if len(data) != part.size or zlib.crc32(data) != part.check:
                raise Lost("the file is not what was uploaded")
            hashed.update(data)
            start += part.size
        finished = replace(
            self._job,
            state=State.FINISHED,
            size=start,
            sha256=hashed.hexdigest(),
            finished_at=int(self._ports.clock()),
            until=0.0,
            tries=0,
            progress=Progress(),
            reached=self._job.progress.cursor,
        )
        self._save(finished)


def _words(error: Exception) -> str:
    """What a user is told of an error that no repetition mends."""
    if isinstance(error, Invalid):
        return error.message or BROKEN
    return BROKEN if isinstance(error, Poison) else GONE
