"""What people see in the terminal: tables, bars and progress. Text from data is printed as text, never as markup."""

import contextlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from unicodedata import category

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from eqn.emotions import SENTIMENT_OF
from eqn.records import ReleaseRef
from eqn.training.progress import Event, Listener

_COLOURS = {"positive": "green", "negative": "red", "ambiguous": "yellow", "neutral": "white"}
_BAR = 40
_SECONDS_BETWEEN_LINES = 15.0
_OBEYED = {"Cc", "Cf", "Cs"}
_HARMLESS = "\n\t\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Joiners hold emoji and letters of many scripts together."""


def printable(text: str) -> str:
    """Give `text` without what a terminal would obey: control characters, and those that turn the direction around."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if category(character) in _OBEYED and character not in _HARMLESS else character
        for character in text
    )


def table(title: str, rows: Sequence[Mapping[str, object]]) -> Table:
    """Give `rows` as a table whose columns are the keys of the first one."""
    drawn = Table(
        title=Text(printable(title), style="bold"),
        title_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for name in rows[0] if rows else ():
        drawn.add_column(Text(printable(name)), overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(printable(str(value))) for value in row.values()))
    return drawn


def bars(scores: Mapping[str, float], labels: Sequence[str]) -> Table:
    """Give one bar for each emotion, strongest first, with the labels in bold."""
    drawn = Table(box=None, show_header=False, padding=(0, 1))
    for name, score in sorted(scores.items(), key=lambda item: -item[1]):
        style = _COLOURS[SENTIMENT_OF[name]]
        chosen = name in labels
        drawn.add_row(
            Text(name, style="bold" if chosen else "dim"),
            Text(
                "█" * round(score * _BAR) + "·" * (_BAR - round(score * _BAR)),
                style=style if chosen else f"dim {style}",
            ),
            Text(f"{score:.4f}", style="bold" if chosen else "dim"),
        )
    return drawn


def _write_line(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def training_progress(console: Console) -> Iterator[Listener]:
    """Show training: a bar with loss, texts/s and time left; a line every 15 seconds where there is no terminal."""
    if not console.is_terminal:
        yield lines(_write_line)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def listen(event: Event) -> None:
            if event.stage not in tasks:
                tasks[event.stage] = progress.add_task(event.stage, total=event.steps, figures="")
            progress.update(tasks[event.stage], completed=event.step, figures=_figures(event))

        yield listen


def lines(write: Callable[[str], None], *, every: float = _SECONDS_BETWEEN_LINES) -> Listener:
    """Give a listener that writes a line every so many seconds, at each check, and at the end of a stage."""
    last = [-math.inf]  # and not 0: the clock may have started just now

    def listen(event: Event) -> None:
        now = time.monotonic()
        if _checked(event) or event.step == event.steps or now - last[0] >= every:
            last[0] = now
            left = f", {event.seconds_left:.0f} s left" if event.step < event.steps else ""
            write(f"{event.stage}: step {event.step} of {event.steps}, {_figures(event)}{left}")

    return listen


def _figures(event: Event) -> str:
    checked = f", {_checked(event)}" if _checked(event) else ""
    return f"loss {event.loss:.4f}, {event.texts_per_second:.0f} texts/s{checked}"


def _checked(event: Event) -> str:
    if event.dev_score is not None:
        return f"dev mAP {event.dev_score:.3f}"
    return f"validation loss {event.validation_loss:.4f}" if event.validation_loss is not None else ""


@contextlib.contextmanager
def annotation_progress(console: Console, rows: int) -> Iterator[Callable[[int, int], None]]:
    """Show annotation: rows, texts/s, tokens/s, time left; a line a minute where there is no terminal."""
    speed = Speed(rows)
    if not console.is_terminal:
        yield speed.lines(_write_line)
        return
    columns = (TextColumn("annotating"), BarColumn(), TextColumn("{task.fields[figures]}"), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("annotating", total=rows, figures="")

        def report(done: int, tokens: int) -> None:
            speed.add(done, tokens)
            progress.update(task, completed=speed.rows, figures=str(speed))

        yield report


class Speed:
    """Counts rows and tokens since it was made."""

    def __init__(self, total: int) -> None:
        self.total, self.rows, self.tokens = total, 0, 0
        self._started = self._last = time.monotonic()

    def __str__(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-9)
        return (
            f"{self.rows:,} of {self.total:,} rows, {self.rows / seconds:,.0f} texts/s, "
            f"{self.tokens / seconds:,.0f} tokens/s"
        )

    def add(self, rows: int, tokens: int) -> None:
        """Count finished rows and their tokens."""
        self.rows += rows
        self.tokens += tokens

    def lines(self, write: Callable[[str], None], *, every: float = 60.0) -> Callable[[int, int], None]:
        """Give a reporter that writes a line every so many seconds and at the end."""

        def report(rows: int, tokens: int) -> None:
            self.add(rows, tokens)
            now = time.monotonic()
            if now - self._last >= every or self.rows == self.total:
                self._last = now
                write(f"annotating: {self}")

        return report


def show_outcome(release: ReleaseRef, figures: Sequence[Mapping[str, str]], *, data_docs: str, model: str) -> None:
    """Show the main job's figures, and say where everything is that it left."""
    shown = ("model", "macro F1", "mAP", "ECE")  # what fits 80 columns
    Console().print(table("figures on test", [{name: row[name] for name in shown} for row in figures]))
    command = os.path.relpath(Path(sys.executable).with_name("eqn"))
    done = "is already published as" if release.already_published else "is published as"
    places = {
        "release": f"{release.path}/data",
        "its card": f"{release.path}/README.md",
        "model card": f"{model}/README.md",
        "Data Docs": data_docs,
        "models": f"{command} models list",
        "try it": f'{command} annotate --text "I can\'t stop smiling"',
        "pages": "make ui",
    }
    lines = [
        f"{release.dataset} {done} release {release.number}: {release.rows:,} rows, {release.quarantined:,} quarantined"
    ]
    lines += [f"{name:>10}  {place}" for name, place in places.items()]
    print("\n".join(lines))  # noqa: T201  the program's result
