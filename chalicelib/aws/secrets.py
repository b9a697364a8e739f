"""The deployment's secrets, as encrypted parameters: made once, read by every function, the salts rotated
daily.
"""

import base64
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core import salts
from chalicelib.core.caches import Memory
from chalicelib.core.errors import Unavailable
from chalicelib.core.salts import Rotation, Salt, Salts
from chalicelib.settings import Settings

from . import clients


@dataclass(frozen=True, slots=True)
class Own:
    """The secrets that do not rotate by themselves."""

    signing: bytes = field(repr=False)
    """Signs links and cookies."""
    server: bytes = field(repr=False)
    """Derives keys from users, and turns addresses into what the limiter may store."""


class Secrets:
    """The store. What it has read it believes for a minute, less than a salt is announced ahead of its time.

    Every method may raise `Unavailable`: the parameters cannot be read, or nobody has made them yet.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._prefix = settings.secrets.rstrip("/")
        self._clock = clock
        self._texts: Memory[str, str] = Memory(8, salts.REMEMBERED, clock)
        self._own = ""

    def ensure(self) -> None:
        """Makes what is missing. Whoever does so first wins; doing it again changes nothing."""
        own = {name: _text(secrets.token_bytes(32)) for name in ("signing", "server")}
        self._put("own", json.dumps(own), overwrite=False)
        self._put("salts", _dump(salts.first(self._clock())), overwrite=False)

    def own(self) -> Own:
        """The signing key and the server's secret."""
        try:
            self._own = self._get("own")
        except Unavailable:
            if not self._own:
                raise
        found = json.loads(self._own)  # what does not rotate may be old: better than no service
        return Own(base64.b64decode(found["signing"]), base64.b64decode(found["server"]))

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

    def _put(self, name: str, value: str, *, overwrite: bool) -> None:
        self._texts.forget(name)
        try:
            clients.ssm().put_parameter(
                Name=f"{self._prefix}/{name}", Value=value, Type="SecureString", Overwrite=overwrite
            )
        except (BotoCoreError, ClientError) as error:
            taken = isinstance(error, ClientError) and error.response["Error"]["Code"] == "ParameterAlreadyExists"
            if not taken or overwrite:
                raise Unavailable(f"parameter {name}: {type(error).__name__}") from error


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _dump(rotation: Rotation) -> str:
    return json.dumps([{"since": salt.since, "secret": _text(salt.secret)} for salt in rotation.salts])


def _load(text: str) -> Rotation:
    return Rotation(tuple(Salt(entry["since"], base64.b64decode(entry["secret"])) for entry in json.loads(text)))
