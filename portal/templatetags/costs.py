"""Filters for amounts of money."""

from decimal import Decimal

from django import template

from provisioning.costs import money as amounts

register = template.Library()


@register.filter
def money(amount: Decimal) -> str:
    """Return an amount with two digits and the currency."""
    return amounts.shown(amount)


@register.filter
def percent_of(spent: Decimal, budget: Decimal) -> int:
    """Return how much of a budget is spent, in whole percent."""
    return amounts.percent(spent, budget)
