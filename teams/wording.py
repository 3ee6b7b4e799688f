"""Text that people wrote, made fit for one line of a page, a mail or the log."""

import unicodedata

# Control and format characters, halves of characters, line and paragraph separators.
_UNFIT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def one_line(text: str) -> str:
    """Return a text on one line, without invisible characters and with single spaces."""
    visible = "".join(" " if unicodedata.category(each) in _UNFIT else each for each in text)
    return " ".join(visible.split())
