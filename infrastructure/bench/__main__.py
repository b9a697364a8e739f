"""The command: `python -m infrastructure.bench [--quick] [--write]`."""

import sys

import click

from . import rows, table, timing


@click.command()
@click.option("--quick", is_flag=True, help="Leave out what takes minutes: the day of a million views, and the year.")
@click.option("--write", is_flag=True, help="Put the table into the README.")
def main(*, quick: bool, write: bool) -> None:
    """Measure, and print a table against the budgets; fails if one is missed."""
    timed = list(rows.timed(quick=quick, say=_say))  # first, while this process is small
    found = [*rows.counted(quick=quick, say=_say), *timed]
    missed = [row for row in found if not row.kept]
    command = f"make bench{' (--quick)' if quick else ''}"
    caption = (
        f"Made by `{command}`. The last {len(timed)} lines were measured on {timing.machine()}, with times as they "
        "would be on the machine for which the budgets were made; all others are counted."
    )
    text = f"{table.markdown(found)}\n\n{caption}"
    click.echo(text)
    if write:
        readme = table.README.read_text(encoding="utf-8")
        table.README.write_text(table.written(readme, text), encoding="utf-8")
    for row in missed:
        click.echo(f"missed: {row.what}", err=True)
    sys.exit(bool(missed))


def _say(what: str) -> None:
    click.echo(f"measuring {what} …", err=True)


if __name__ == "__main__":
    main()
