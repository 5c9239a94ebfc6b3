"""`assay up` and `assay down`: everything on one machine."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import typer
from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from plugin.cli.errors import CliError
from plugin.settings import Settings, load_settings

if TYPE_CHECKING:
    from plugin.stack.board import PartState, Snapshot
    from plugin.stack.control import Show

STYLES = {"running": "green", "done": "green", "restarting": "yellow", "failed": "red", "stopped": "dim"}
INTERRUPTED = 130


def up(
    detach: bool = typer.Option(False, "--detach", "-d", help="Return when all is healthy; `assay down` stops it."),
) -> None:
    """Start what is missing (PostgreSQL, Redis, Label Studio, our own parts) and keep it running until Ctrl-C."""
    from plugin.stack import control
    from plugin.stack.part import StackError

    settings, console = load_settings(with_stack_file=False), Console(soft_wrap=True)
    lines = _Lines(console)
    _interrupt_on_signals()
    try:
        with _display(console, lines) as show:
            started = control.up(settings, show)
        if not started:
            console.print("Assay is already running.")
        _print_doors(settings, console)
        if started and not detach:
            console.print("Ctrl-C stops it.", style="dim")
            control.stay(settings, lines)
    except StackError as error:
        raise CliError(str(error)) from None
    except OSError as error:
        if error.filename is None:  # no file of ours: a closed pipe, say
            raise
        reason = f"{error.strerror}: {error.filename}"
        raise CliError(f"ASSAY_HOME {settings.home.resolve()} cannot be used: {reason}") from error
    except KeyboardInterrupt:
        console.print("Stopping ...")
        control.down(settings)
        if not detach:
            return
        raise typer.Exit(INTERRUPTED) from None


def down() -> None:
    """Stop everything that `assay up` started; the data stays."""
    from plugin.stack import control

    console = Console(soft_wrap=True)
    with console.status("Stopping ..."):
        stopped = control.down(load_settings(with_stack_file=False))
    console.print(f"Stopped: {', '.join(dict.fromkeys(stopped))}." if stopped else "Nothing was running.")


def _print_doors(settings: Settings, console: Console) -> None:
    from plugin.stack import control

    doors = control.doors(settings)
    console.print(f"\n  Assay         {doors.web}\n  Label Studio  {doors.label_studio}", highlight=False)
    if doors.email:
        console.print(f"  log in as     {doors.email}  {doors.password}", highlight=False, markup=False)
    console.print()


@contextmanager
def _display(console: Console, lines: _Lines) -> Iterator[Show]:
    """A table that changes in place, or plain lines where nobody watches."""
    if not console.is_terminal:
        yield lines
        return
    with Live(console=console, refresh_per_second=8) as live:

        def show(snapshot: Snapshot) -> None:
            lines.remember(snapshot)
            live.update(_table(snapshot))

        yield show


def _table(snapshot: Snapshot) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, part in snapshot.parts.items():
        table.add_row(_mark(part), name, Text(part.note, style="dim"))
    return table


def _mark(part: PartState) -> RenderableType:
    state = part.state.value
    return Spinner("dots") if state == "starting" else Text(state, style=STYLES.get(state, "dim"))


class _Lines:
    """One line for each change of state."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[str, str] = {}

    def __call__(self, snapshot: Snapshot) -> None:
        for name, part in snapshot.parts.items():
            if part.state.value != self._shown.get(name, "waiting"):
                line = f"{name}: {part.state.value} {part.note}".rstrip()
                self._console.print(line, highlight=False, markup=False)
        self.remember(snapshot)

    def remember(self, snapshot: Snapshot) -> None:
        self._shown = {name: part.state.value for name, part in snapshot.parts.items()}


def _interrupt_on_signals() -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
