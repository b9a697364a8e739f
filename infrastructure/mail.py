"""`countless mail`: whether mails leave, and what the server that takes them wants to be told."""

from __future__ import annotations

import click

from countless.printing import say
from infrastructure.reaching import at_aws, reaching

TEXT = """This is a test of the mails that Countless sends: you asked for it with `countless mail test`.
"""


@click.group(short_help="Try whether mails leave; set the login of the mail server.")
def mail() -> None:
    """Try whether mails leave; set the login of the mail server.

    COUNTLESS_MAIL says what sends them (ses, smtp://HOST:587 or smtps://HOST:465), COUNTLESS_MAIL_FROM whom they are
    from.
    """


@mail.command("test", short_help="Send a mail to an address.")
@click.argument("address")
@at_aws()
def test(address: str, url: str | None) -> None:
    """Send a mail to this address as the service would, and say what became of it."""
    with reaching(url):
        from chalicelib import wiring  # noqa: PLC0415 - reads its settings from the environment
        from chalicelib.core.errors import Uncertain  # noqa: PLC0415
        from chalicelib.core.mail import Mail, Mailbox, NotSent, Refused  # noqa: PLC0415
        from infrastructure.local.mails import choose  # noqa: PLC0415

        simulated = url is not None and choose()
        mailer = wiring.mailer()
        if mailer is None:
            raise click.ClickException("COUNTLESS_MAIL is not set: nothing sends mails here.")
        made = Mail(wiring.mail_sender(), (Mailbox.read(address),), "A test by Countless", TEXT)
        try:
            number = mailer.send(made)
        except NotSent as error:
            raise click.ClickException(f"It was not sent: {error}{_why(error)}") from error
        except Refused as error:
            raise click.ClickException(f"It was refused: {error}{_why(error)}") from error
        except Uncertain as error:
            raise click.ClickException(f"Nobody can say whether it was sent: {error}{_why(error)}") from error
    where = " (simulated: it stays here)" if simulated else ""
    say(f"sent to {made.to[0].address} from {made.sender}: {number}{where}")


@mail.command("login", short_help="Set the login of the SMTP server.")
@click.argument("user")
@click.password_option(help="Asked for, unless it is given here, where others may see it.")
@at_aws()
def login(user: str, password: str, url: str | None) -> None:
    """Set what the SMTP server is told before it sends: kept encrypted, in the parameter smtp beside the deployment's
    other secrets. In force everywhere within a minute.
    """
    with reaching(url):
        from chalicelib import wiring  # noqa: PLC0415

        wiring.secrets().keep_smtp(user, password)
    say(f"The server will be told that it is {user}.")


def _why(error: Exception) -> str:
    """What the other side said, for the one who is entitled to know: the log never has it."""
    cause = error.__cause__
    if cause is None:
        return ""
    return f" ({' '.join(str(cause).split())})"
