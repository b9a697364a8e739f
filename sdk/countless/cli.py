"""The `countless` command: `import` for everybody, and in a checkout the operator's commands as well."""

import importlib
import sys

import click

from countless.importing import import_logs
from countless.printing import crash, say, shown_errors


class Commands(click.Group):
    """A group that asks for the operator's commands only when one of them, or the list, is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Ours and the operator's, by name."""
        return sorted({*super().list_commands(ctx), *operator_commands()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of ours, else one of the operator's."""
        return super().get_command(ctx, cmd_name) or operator_commands().get(cmd_name)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: object
    ) -> click.Context:
        """As click does; what it says of an error can be shown."""
        with shown_errors():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command; what is said of its errors can be shown."""
        with shown_errors():
            return super().invoke(ctx)


def operator_commands() -> dict[str, click.Command]:
    """What `infrastructure.commands.COMMANDS` offers, by name; nothing where only the library is."""
    try:
        module = importlib.import_module("infrastructure.commands")
    except ModuleNotFoundError as error:
        if error.name not in {"infrastructure", "infrastructure.commands"}:
            say(f"The operator's commands need {error.name}, which is not installed.", err=True)
        return {}
    return {str(command.name): command for command in module.COMMANDS}


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="countless", prog_name="countless")
def main() -> None:
    """Count anything, serverless."""


main.add_command(import_logs)


def run() -> None:
    """The command as it is installed: what it does not expect it says safely too."""
    sys.excepthook = crash
    main()
