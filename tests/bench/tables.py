"""Figures as lines of text."""

from collections.abc import Iterable, Sequence


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table: the first column to the left, all others to the right."""
    lines = [[str(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    print(f"\n{title}\n")
    for number, line in enumerate(lines):
        first, *others = [f"{cell:{'<' if place == 0 else '>'}{widths[place]}}" for place, cell in enumerate(line)]
        print("  ".join([first, *others]).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths), flush=True)


def ms(value: float) -> str:
    """Return milliseconds with two digits that matter."""
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def times(value: float) -> str:
    """Return a ratio."""
    return f"{value:.1f} ×"


def verdict(met: bool) -> str:
    """Say whether a target is met."""
    return "met" if met else "MISSED"
