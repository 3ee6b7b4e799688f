"""Amounts as people read them; sums are exact, and only what is shown is rounded."""

from decimal import ROUND_HALF_UP, Decimal

from django.conf import settings

CENT = Decimal("0.01")


def shown(amount: Decimal) -> str:
    """Return an amount with two digits and the currency, like “1,234.50 USD”."""
    return f"{amount.quantize(CENT, ROUND_HALF_UP):,} {settings.CURRENCY}"


def percent(spent: Decimal, budget: Decimal) -> int:
    """Return how much of a budget is spent, in whole percent rounded down: 100 is never said too early."""
    if not budget:
        return 100 if spent else 0
    return int(spent * 100 // budget)
