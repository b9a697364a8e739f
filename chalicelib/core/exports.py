"""Exports: files that a function makes in pieces while a job tells how far it is, for every surface the same.

This module says what a job is and does what requests and the hourly schedule want of jobs; `exporting` makes the
files. A job is one item that is only ever swapped for its next version, so whoever works on an old one finds out.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple, Protocol
from urllib.parse import quote

from . import ids
from .errors import Conflict, NotFound, Unavailable
from .pages import LARGEST_PAGE, Page

PREFIX = "exp_"
KEPT = 86_400
"""Seconds from the last change of a job to its expiry: so long can a file be downloaded."""
REMEMBERED = 30 * 86_400
"""Seconds for which a job can still be looked at once it has expired."""
LINK = 60
"""Seconds for which the address works that a download is sent on to."""
IDLE = 900
"""Seconds without any change after which a job is asked for again: its message must have been lost."""
_LOOKS = 5
"""How often a job is looked at again, if others change it meanwhile."""
GONE = "What was to be exported is gone."
CHANGED = "Some of what was to be exported has just been removed or renamed. Please ask for another export."
GZIP, ZIP = "application/gzip", "application/zip"
"""What files are: their names end in `.zip`, or else they are compressed as they are made."""
BROKEN = "This export cannot be made. Please tell whoever runs this service, and name the export's id."
REPEATEDLY = (
    "This export failed again and again. Ask for another later; if that fails too, please tell whoever runs this "
    "service, and name the export's id."
)
LATE = "This export could not be made within a day. Please ask for another."


class State(StrEnum):
    """Where a job stands. The words are shown to clients."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    EXPIRED = "expired"


class Part(NamedTuple):
    """A part of the file as it was uploaded."""

    tag: str
    """What the bucket calls it."""
    size: int
    check: int
    """CRC-32 of its bytes."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a file is: what is needed to go on after any crash."""

    upload: str = ""
    """The multipart upload's id; empty before there is one."""
    cursor: str = ""
    """The last that the parts hold, in the source's words; empty before the first part."""
    parts: tuple[Part, ...] = ()
    read: bool = False
    """Whether the parts hold everything."""
    joined: bool = False
    """Whether the parts were put together to a file."""


@dataclass(frozen=True, slots=True)
class Job:
    """An export that was asked for. Times are Unix seconds."""

    id: str
    account: str
    surface: str
    """What asked for it, and knows how to make it: `statistics`, for example."""
    name: str
    """What the file is called where it is saved."""
    parameters: Mapping[str, str]
    """What is to be exported, in the surface's words."""
    created_at: int
    updated_at: int
    expires_at: int
    state: State = State.QUEUED
    rows: int = 0
    """How many are in the file so far."""
    size: int | None = None
    """Of the compressed file, in bytes; None until all of it is there."""
    sha256: str | None = None
    """Of the compressed file, in hexadecimal digits."""
    error: str | None = None
    """Why it failed, in words for users."""
    finished_at: int | None = None
    version: int = 1
    worker: str = ""
    """Whoever wrote this version."""
    until: float = 0.0
    """When the worker's lease ends, in Unix seconds."""
    tries: int = 0
    """How often work began since something was last achieved."""
    restarts: int = 0
    """How often the file was begun anew, for the bucket had lost or mixed up its parts."""
    attempt: int = 0
    """Which of its files this is, of all that were begun: each is in a place of its own, so that a worker that was
    thought dead and removes what it gave up never removes what came after."""
    parked: bool = False
    """Whether the dead-letter queue knows of its failure."""
    progress: Progress = field(default_factory=Progress)
    number: int = 0
    """What clients call it that want small numbers: given once in each account, upwards; 0 if it has none."""
    reached: str = ""
    """The last cursor, once the file is there: what a finished export ended with, in its source's words."""

    @property
    def media_type(self) -> str:
        """What its file is."""
        return ZIP if self.name.endswith(".zip") else GZIP

    @property
    def over(self) -> bool:
        """Whether nothing is left to be made."""
        return self.state not in (State.QUEUED, State.RUNNING)

    @property
    def key(self) -> str:
        """Where its file is in the bucket."""
        return f"exports/{self.account}/{self.id}/{self.attempt}"

    @property
    def keys(self) -> tuple[str, ...]:
        """Where files of it may be: its own, and any given up by a worker that did not live to remove it."""
        return tuple(replace(self, attempt=attempt).key for attempt in range(self.attempt + 1))

    def at(self, now: float) -> "Job":
        """The job as it is at a moment: a file whose time is up has expired, whether it was removed yet or not."""
        late = self.state is State.FINISHED and now >= self.expires_at
        return replace(self, state=State.EXPIRED) if late else self

    def next(self, now: float, worker: str) -> "Job":
        """The version that may be swapped for this one."""
        moment = int(now)
        return replace(self, version=self.version + 1, worker=worker, updated_at=moment, expires_at=moment + KEPT)


class Look(NamedTuple):
    """A note to look after a job at a moment."""

    at: int
    account: str
    id: str


class Lost(Exception):
    """The bucket has no such upload, file or range, or no such parts."""


class JobStore(Protocol):
    """Where jobs are. Every method may raise `Unavailable`."""

    def begin(self, job: Job, look: int) -> None:
        """Writes a new job, so that it is found by its id alone too, or its number, and looked after at a moment."""

    def forget(self, job: Job, look: int) -> None:
        """Takes back what `begin` wrote."""

    def get(self, account: str, job: str) -> Job | None:
        """Consistently reads a job."""

    def find(self, job: str) -> Job | None:
        """As `get`, for those who know but the id."""

    def count(self, account: str) -> int:
        """The next of an account's numbers. None is given twice; some may be left out."""

    def numbered(self, account: str, number: int) -> Job | None:
        """As `get`, for those who know the number."""

    def swap(self, job: Job) -> None:
        """Writes a job over the version before it; if this very call did so already, that is fine.

        Raises:
            Conflict: another version is there, or none.
        """

    def page(self, account: str, surface: str, parameters: Mapping[str, str], limit: int, after: str) -> Page[Job]:
        """A surface's jobs with these parameters, and any others, by id."""

    def due_keys(self, now: float, after: str, limit: int) -> list[str]:
        """The keys of so many notes that are due at most, of those that come after one, the oldest first."""

    def due_between(self, after: str, until: str) -> list[tuple[str, Look]]:
        """The notes after a key up to another, which is included, with their keys."""

    def look(self, job: Job, at: int) -> None:
        """Has a job looked after at a moment."""

    def move(self, look: Look, at: int | None) -> None:
        """Puts a note off to another moment; None removes it."""


class Files(Protocol):
    """Where the files are. Every method may raise `Unavailable`."""

    def create(self, key: str, media_type: str) -> str:
        """Begins an upload of something of this type; its id. One that is never finished goes by itself."""

    def put(self, key: str, upload: str, number: int, data: bytes) -> str:
        """Uploads a part, over one that was uploaded under its number before; its tag.

        Raises:
            Lost: there is no such upload.
        """

    def join(self, key: str, upload: str, tags: Sequence[str]) -> None:
        """Makes a file of the parts with these tags, which are all there are, in order.

        Raises:
            Lost: there is no such upload, perhaps since its parts are a file already, or there are other parts.
        """

    def size(self, key: str) -> int | None:
        """Of a file, in bytes; None if there is none."""

    def read(self, key: str, start: int, length: int) -> bytes:
        """So many bytes of a file from a place on.

        Raises:
            Lost: there is no such file, or no such place in it.
        """

    def remove(self, key: str, upload: str) -> None:
        """Removes the file, and the upload if one is named. What is gone is fine."""

    def link(self, key: str, name: str, media_type: str, seconds: int, method: str = "GET") -> str:
        """An address from which anyone can load the file for some time, to be saved under this name. It is good for
        this method alone: GET, or HEAD.
        """


class Queue(Protocol):
    """Where exports are asked for. Every method may raise `Unavailable`."""

    def ask(self, job: Job) -> None:
        """Asks for work on a job, soon; asking twice is harmless."""

    def park(self, job: Job) -> None:
        """Puts the request for a job that failed for good into the dead-letter queue."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The world of exports."""

    jobs: JobStore
    files: Files
    queue: Queue
    clock: Callable[[], float]


class Exports:
    """What requests and the schedule want of exports. Every method may raise `Unavailable`."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def begin(  # noqa: PLR0913 - what makes an export, and whether it has a number
        self,
        account: str,
        surface: str,
        name: str,
        parameters: Mapping[str, str],
        now: float,
        *,
        numbered: bool = False,
    ) -> Job:
        """Asks for a new export; `numbered` gives it one of the account's numbers.

        Raises:
            Unavailable: it will not be made, or, should nobody answer at all any more, perhaps in an hour.
        """
        moment = int(now)
        job = Job(PREFIX + ids.ordered(now), account, surface, name, dict(parameters), moment, moment, moment + KEPT)
        if numbered:
            job = replace(job, number=self._ports.jobs.count(account))
        look = moment + IDLE
        self._ports.jobs.begin(job, look)
        try:
            self._ports.queue.ask(job)
        except Unavailable:
            self._ports.jobs.forget(job, look)
            raise
        return job

    def take_back(self, job: Job) -> None:
        """Forgets an export that has just been asked for, as if it never had been: nobody was told of it yet.

        Whoever makes it already finds it gone, and stops.
        """
        self._ports.jobs.forget(job, job.created_at + IDLE)

    def job(self, account: str, job: str) -> Job:
        """An export of an account.

        Raises:
            NotFound: it has none of this id.
        """
        return self._known(self._ports.jobs.get(account, job))

    def numbered(self, account: str, number: int) -> Job:
        """An export of an account, by its number.

        Raises:
            NotFound: it has none of this number.
        """
        return self._known(self._ports.jobs.numbered(account, number))

    def linked(self, job: str) -> Job:
        """An export of any account, for those whom a link of ours leads to it (`links.holds`).

        Raises:
            NotFound: there is none of this id.
        """
        return self._known(self._ports.jobs.find(job))

    def _known(self, found: Job | None) -> Job:
        if found is None:
            raise NotFound("export")
        return found.at(self._ports.clock())

    def jobs(
        self, account: str, surface: str, limit: int, after: str, parameters: Mapping[str, str] | None = None
    ) -> Page[Job]:
        """An account's exports of a surface by id, which is the order in which they were asked for.

        With `parameters`, those alone that have all of these.
        """
        found = self._ports.jobs.page(account, surface, parameters or {}, limit, after)
        now = self._ports.clock()
        return Page(tuple(job.at(now) for job in found.entries), found.after)

    def download(self, job: Job, method: str = "GET") -> str:
        """An address from which a finished export can be loaded for a minute, by anyone who has it. It is good for
        this method alone: GET, or HEAD.

        Raises:
            NotFound: there is no file, or no more.
        """
        _require_file(job, self._ports.clock())
        return self._ports.files.link(job.key, job.name, job.media_type, LINK, method)

    def read(self, job: Job) -> bytes:
        """A finished export's whole file: for small ones.

        Raises:
            NotFound: there is no file, or no more.
        """
        size = _require_file(job, self._ports.clock())
        try:
            return self._ports.files.read(job.key, 0, size)
        except Lost:
            raise NotFound("export") from None

    def end(self, account: str, job: str) -> Job:
        """Removes an export's file before its time, or keeps it from being made: no link leads anywhere any more.

        Whoever is making it finds the job changed, and stops. What is over already stays as it is.

        Raises:
            NotFound: the account has no such export.
        """
        for _ in range(_LOOKS):
            found = self.job(account, job)
            if found.state in (State.FAILED, State.EXPIRED):
                return found
            try:
                ended = self._expire(replace(found, until=0.0), self._ports.clock())
            except Conflict:
                continue
            self._ports.files.remove(found.key, found.progress.upload)
            return ended
        raise Unavailable("the export changes all the time")

    def withdraw(self, account: str, surface: str, parameters: Mapping[str, str], words: str = GONE) -> None:
        """Removes the files of a surface's exports that have these parameters, whoever still has a link to them.

        What is still being made fails, in these words: a run that has read its source already would not find out. Doing
        it again does no harm.

        Raises:
            Conflict: one of them has just been changed by somebody else.
        """
        after: str | None = ""
        while after is not None:
            page = self._ports.jobs.page(account, surface, parameters, LARGEST_PAGE, after)
            for job in page.entries:
                if job.state is State.FINISHED:
                    self._expire(job, self._ports.clock())
                    self._ports.files.remove(job.key, "")
                elif not job.over:
                    fail(self._ports, job, words, secrets.token_hex(8))
            after = page.after

    def _expire(self, job: Job, now: float) -> Job:
        ends = min(job.expires_at, int(now))
        expired = replace(job.next(now, secrets.token_hex(8)), state=State.EXPIRED, expires_at=ends)
        self._ports.jobs.swap(expired)
        return expired

    def due_keys(self, after: str, limit: int) -> list[str]:
        """As `JobStore.due_keys`, of what is due now."""
        return self._ports.jobs.due_keys(self._ports.clock(), after, limit)

    def due_between(self, after: str, until: str) -> list[tuple[str, Look]]:
        """As `JobStore.due_between`."""
        return self._ports.jobs.due_between(after, until)

    def tend(self, look: Look) -> None:
        """Looks after a job: removes it when its time is up, asks for it again when its message was lost."""
        jobs, now = self._ports.jobs, self._ports.clock()
        job = jobs.get(look.account, look.id)
        if job is not None and not job.over and now >= job.expires_at:
            fail(self._ports, job, LATE, secrets.token_hex(8))
            job = jobs.get(look.account, look.id)
        if job is None:
            jobs.move(look, None)
        elif job.over:
            self._tend_over(job, look, now)
        else:
            if job.until <= now and job.updated_at + IDLE <= now:
                self._ports.queue.ask(job)
            jobs.move(look, int(now) + IDLE)

    def _tend_over(self, job: Job, look: Look, now: float) -> None:
        if job.state is State.FINISHED and now < job.expires_at:
            self._ports.jobs.move(look, job.expires_at)
            return
        if job.state is State.FINISHED:
            self._expire(job, now)
        elif job.state is State.FAILED and not job.parked:
            park(self._ports, job, secrets.token_hex(8))
        self._ports.files.remove(job.key, job.progress.upload)
        for key in job.keys[:-1]:
            self._ports.files.remove(key, "")
        self._ports.jobs.move(look, None)


def _require_file(job: Job, now: float) -> int:
    if job.at(now).state is not State.FINISHED or job.size is None:
        raise NotFound("export")
    return job.size


def fail(ports: Ports, job: Job, error: str, worker: str) -> None:
    """Ends a job for good, and has the dead-letter queue know of it.

    Raises:
        Conflict: somebody else has changed the job meanwhile.
        Unavailable: not all of this was done. `park`, or the schedule, does the rest.
    """
    now = ports.clock()
    failed = replace(
        job.next(now, worker),
        state=State.FAILED,
        error=error,
        finished_at=int(now),
        until=0.0,
        size=None,
        sha256=None,
        progress=Progress(upload=job.progress.upload),
    )
    ports.jobs.swap(failed)
    with suppress(Unavailable):  # the schedule does it again
        ports.files.remove(job.key, job.progress.upload)
    park(ports, failed, worker)


def park(ports: Ports, job: Job, worker: str) -> None:
    """Has the dead-letter queue know of a job that failed; at least once, and as a rule once."""
    ports.queue.park(job)
    with suppress(Conflict):
        ports.jobs.swap(replace(job.next(ports.clock(), worker), parked=True, expires_at=job.expires_at))


def disposition(name: str) -> str:
    """The header that has a file saved under this name, in the words of RFC 6266."""
    plain = "".join(letter if " " <= letter <= "~" and letter not in '"\\%' else "_" for letter in name)
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"
