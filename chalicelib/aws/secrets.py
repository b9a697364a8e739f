"""The deployment's secrets, as encrypted parameters that rotate (`core.rotation`, `core.salts`).

Each version of a secret is a parameter of its own that is made once, if there is none of its number, and never written
again: of two that rotate at once, one makes the next version; and what breaks off in between has lost nothing.
"""

import base64
import contextlib
import json
import math
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core import deadlines, keys, rotation, salts
from chalicelib.core.caches import Memory
from chalicelib.core.errors import Unavailable
from chalicelib.core.rotation import Early, Version, Versions
from chalicelib.core.salts import Rotation, Salt, Salts
from chalicelib.settings import Settings

from . import clients

_BRIEF = 3.0
"""Seconds that a look at versions may take which are known, though not as of this minute."""
_USED = "-used"
"""Ends the name of the parameter that says since when a version was seen in use."""


class _Missing(Unavailable):
    """Nobody has made a secret yet."""


class Secrets:
    """The store. What it has read it believes for a minute, less than a salt is announced ahead of its time.

    Every method may raise `Unavailable`: the parameters cannot be read, or nobody has made them yet.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._prefix = settings.secrets.rstrip("/")
        self._clock = clock
        self._texts: Memory[str, str] = Memory(8, salts.REMEMBERED, clock)
        self._versions: Memory[str, Versions] = Memory(8, salts.REMEMBERED, clock)
        self._known: dict[str, Versions] = {}

    def ensure(self) -> None:
        """Makes what is missing. Whoever does so first wins; doing it again changes nothing."""
        for name in rotation.RULES:
            self._ensure(name)
        self._put("salts", _dump(salts.first(self._clock())), overwrite=False)

    def signing(self) -> tuple[bytes, ...]:
        """What signs links: they are made with the first, and good if they were made with any."""
        return self.versions("signing").accepted(self._clock())

    def server(self) -> tuple[bytes, ...]:
        """What turns addresses into what the limiter may store: the first. Windows begin anew when that is another."""
        return self.versions("server").accepted(self._clock())

    def edge(self, given: str) -> bool:
        """Whether this is what the CDN proves itself with. The first to see a new version notes that it is in use."""
        kept = self.versions("edge").kept
        found = [version for version in kept if keys.same(given, edge_text(version.secret))]
        if found and found[0] is kept[-1] and found[0].since is None:
            with contextlib.suppress(Unavailable):  # whoever comes next notes it
                self._put(f"edge/{found[0].number}{_USED}", str(int(self._clock())), overwrite=False)
        return bool(found)

    def versions(self, name: str) -> Versions:
        """The versions of a secret. While the parameters cannot be read, those that were known last: what rotates once
        in months may be old, which is better than no service.
        """
        try:
            with deadlines.within(_BRIEF if name in self._known else math.inf):
                self._known[name] = self._versions.get(name, lambda: self._read_versions(name))
        except Unavailable:
            if name not in self._known:
                raise
            self._versions.put(name, self._known[name])  # not each request is to wait in vain
        return self._known[name]

    def rotate_secret(self, name: str, *, leaked: bool = False) -> Version:
        """Makes a new version of a secret, and removes those that nothing depends on any more. With `leaked`, the new
        one is used at once, and no other is accepted as soon as every process knows, a minute later: what was made
        with them is good no more.

        Of two who do so at once, one makes it, and the other is told that it is early.

        Raises:
            Early: it is too early, and nothing was done.
        """
        self._ensure(name)
        now, rule = self._clock(), rotation.RULES[name]
        before = self._fresh(name)
        number = before.newest.number + 1 if leaked else before.next(rule, now)
        since = int(now) if leaked else rotation.announced(name, now)
        made = Version(number, secrets.token_bytes(32), since)
        if not self._put(f"{name}/{number}", _dump_version(made), overwrite=False):
            raise Early(None)
        self._remove(name, before.kept if leaked else before.spent(rule, now))
        return made

    def renew(self, name: str) -> bool:
        """What the schedule does with a secret: makes a new version once it is time, and removes those that nothing
        depends on any more; whether it made one. Doing it often, or twice at once, is harmless.
        """
        self._ensure(name)
        now, rule = self._clock(), rotation.RULES[name]
        found = self._fresh(name)
        if found.is_due(rule, now):
            try:
                self.rotate_secret(name)
            except Early:
                return False
            return True
        self._remove(name, found.spent(rule, now))
        return False

    def salts(self) -> Salts:
        """The salts that count now."""
        return _load(self._get("salts")).at(self._clock())

    def smtp(self) -> tuple[str, str] | None:
        """User and password of the server that mails are handed to; None if nobody has set any.

        The operator puts them there, as JSON: `{"user": "…", "password": "…"}`.
        """
        text = self._texts.get("smtp", lambda: self._read("smtp", absent="{}"))
        try:
            found = json.loads(text)
            return (str(found["user"]), str(found["password"])) if found else None
        except (ValueError, TypeError, KeyError):
            # The text is in the error that led here, and must not be in this one's.
            raise Unavailable("parameter smtp: must be JSON with user and password") from None

    def keep_smtp(self, user: str, password: str) -> None:
        """Sets what `smtp` answers. Other processes may go by the old for another minute."""
        self._put("smtp", json.dumps({"user": user, "password": password}), overwrite=True)

    def rotate(self, now: float) -> bool:
        """Announces a new salt if the newest is a day old, and deletes those that are done with; whether it
        did.

        For one job that runs hourly: two at once could each announce one, and the earlier would be lost
        before its time came, which harms nobody.
        """
        self._texts.forget("salts")
        before = _load(self._get("salts"))
        after = before.rotated(now, salts.fresh())
        if after == before:
            return False
        self._put("salts", _dump(after), overwrite=True)
        return True

    def _ensure(self, name: str) -> None:
        """Makes the first version of a secret, unless there is any: what a deployment has used until now, if it has."""
        try:
            self._fresh(name)
        except Unavailable as error:
            if not isinstance(error, _Missing):
                raise
            self._versions.forget(name)
            made = Version(1, secrets.token_bytes(32), int(self._clock()))
            self._put(f"{name}/1", _dump_version(made), overwrite=False)
            return
        if (old := self._before_rotation(name)) is not None and old in self._fresh(name).kept:
            self._put(f"{name}/{old.number}", _dump_version(old), overwrite=False)

    def _fresh(self, name: str) -> Versions:
        self._versions.forget(name)
        return self._read_versions(name)

    def _read_versions(self, name: str) -> Versions:
        """The versions that are stored, in one call as a rule, as there are few; where there is none, the one from
        before secrets rotated. SSM may answer with less than there is, even with nothing, and say that there is more.
        """
        path = f"{self._prefix}/{name}"
        try:
            found = self._page(path)
            while more := found.get("NextToken"):
                following = self._page(path, NextToken=more)
                found = {**following, "Parameters": [*found["Parameters"], *following["Parameters"]]}
        except (BotoCoreError, ClientError) as error:
            raise Unavailable(f"parameters {name}: {type(error).__name__}") from error
        texts = {parameter["Name"].rpartition("/")[2]: parameter["Value"] for parameter in found["Parameters"]}
        kept = [_load_version(int(key), text, texts.get(key + _USED)) for key, text in texts.items() if key.isdigit()]
        if not kept and (old := self._before_rotation(name)) is not None:
            kept = [old]
        if not kept:
            raise _Missing(f"parameters {name}: nobody has made any")
        return Versions(tuple(sorted(kept)))

    @staticmethod
    def _page(path: str, **more: str) -> dict[str, Any]:
        return clients.ssm().get_parameters_by_path(Path=path, WithDecryption=True, MaxResults=10, **more)  # type: ignore[arg-type,return-value]

    def _before_rotation(self, name: str) -> Version | None:
        """What a deployment of version 0.3 or older made, as version 0."""
        text = self._read("own", absent="{}")
        given = json.loads(text).get(name)
        return Version(0, base64.b64decode(given), 0) if given else None

    def _remove(self, name: str, versions: Sequence[Version]) -> None:
        for version in versions:
            for end in ("", _USED):
                self._delete(f"{name}/{version.number}{end}")
        if versions:
            self._versions.forget(name)

    def _delete(self, name: str) -> None:
        """Removes a parameter, if it is there."""
        try:
            clients.ssm().delete_parameter(Name=f"{self._prefix}/{name}")
        except (BotoCoreError, ClientError) as error:
            if not (isinstance(error, ClientError) and error.response["Error"]["Code"] == "ParameterNotFound"):
                raise Unavailable(f"parameter {name}: {type(error).__name__}") from error

    def _get(self, name: str) -> str:
        return self._texts.get(name, lambda: self._read(name))

    def _read(self, name: str, absent: str | None = None) -> str:
        try:
            answer = clients.ssm().get_parameter(Name=f"{self._prefix}/{name}", WithDecryption=True)
        except (BotoCoreError, ClientError) as error:
            missing = isinstance(error, ClientError) and error.response["Error"]["Code"] == "ParameterNotFound"
            if absent is not None and missing:
                return absent
            raise Unavailable(f"parameter {name}: {type(error).__name__}") from error
        return answer["Parameter"].get("Value", "")

    def _put(self, name: str, value: str, *, overwrite: bool) -> bool:
        """Stores a parameter; without `overwrite` only if there is none of this name. Whether it did."""
        self._texts.forget(name)
        self._versions.forget(name.partition("/")[0])
        try:
            clients.ssm().put_parameter(
                Name=f"{self._prefix}/{name}", Value=value, Type="SecureString", Overwrite=overwrite
            )
        except (BotoCoreError, ClientError) as error:
            taken = isinstance(error, ClientError) and error.response["Error"]["Code"] == "ParameterAlreadyExists"
            if not taken or overwrite:
                raise Unavailable(f"parameter {name}: {type(error).__name__}") from error
            return False
        return True


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def edge_text(secret: bytes) -> str:
    """A secret as a header holds it."""
    return base64.urlsafe_b64encode(secret).decode().rstrip("=")


def _dump_version(version: Version) -> str:
    return json.dumps({"since": version.since, "secret": _text(version.secret)})


def _load_version(number: int, text: str, used: str | None) -> Version:
    found = json.loads(text)
    since = found["since"] if found["since"] is not None or used is None else int(used)
    return Version(number, base64.b64decode(found["secret"]), since)


def _dump(rotation: Rotation) -> str:
    return json.dumps([{"since": salt.since, "secret": _text(salt.secret)} for salt in rotation.salts])


def _load(text: str) -> Rotation:
    return Rotation(tuple(Salt(entry["since"], base64.b64decode(entry["secret"])) for entry in json.loads(text)))
