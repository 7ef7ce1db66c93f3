"""A progress bar on stderr, only where a person looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from icefront.text import printable

__all__ = ["steps"]


@contextmanager
def steps(
    title: str, total: int, *, show: bool, note: Callable[[], str] | None = None
) -> Iterator[Callable[[int], None]]:
    """Count steps, with a bar on stderr if `show` holds and stderr is a terminal.

    Parameters
    ----------
    title : str
        What is being done.
    total : int
        How many steps there are.
    show : bool
        False keeps silent in any case.
    note : callable, optional
        Returns a few words that stand behind the bar, such as how many bytes came.

    Yields
    ------
    callable
        Call it with the number of steps that were done since the last call.
    """
    if show:
        from rich.console import Console

        console = Console(stderr=True)
        if console.is_terminal:
            from rich.progress import (
                BarColumn,
                Progress,
                ProgressColumn,
                Task,
                TextColumn,
                TimeRemainingColumn,
            )
            from rich.text import Text

            class Note(ProgressColumn):
                def render(self, task: Task) -> Text:
                    return Text(printable(note()) if note is not None else "")

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.completed}/{task.total}"),
                Note(),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=console, transient=True) as bar:
                task = bar.add_task(printable(title), total=total)
                yield lambda count: bar.advance(task, count)
            return
    yield lambda count: None
