"""Sign-on at the assertion consumer service, beside stock djangosaml2; and what it costs to refuse."""

from statistics import median
from typing import Any

from portal.demo.idp.flavours import Signed
from tests.bench.messages import MODES, Messages
from tests.bench.sites import Site
from tests.bench.tables import ms, table, times, verdict

ACS = "/saml2/acs/"
ROUNDS = 5
PER_ROUND = 15
TARGETS: dict[Signed, float] = {"assertion": 4, "response": 4, "both": 6}
NAMES = {"assertion": "assertion signed", "response": "response signed", "both": "both signed"}

Costs = dict[str, Any]


def honest(messages: Messages, portal: Site, stock: Site | None) -> None:
    """Print what a sign-on costs, of people who have signed on before, each message given to both sides."""
    sites = [site for site in (portal, stock) if site]
    found: dict[tuple[Site, Signed], list[Costs]] = {(site, mode): [] for site in sites for mode in MODES}
    for number in range(ROUNDS + 1):
        for mode in MODES:
            forms = messages.honest(mode, PER_ROUND)
            for site in sites:
                costs = site.visit(ACS, forms=forms)
                if costs["statuses"] != [302]:
                    raise RuntimeError(f"a sign-on was refused: {costs['statuses']}")
                if number:  # The first round warms both up.
                    found[site, mode].append(costs)
    queries = len(portal.do("queries", path=ACS, form=messages.honest("both", 1)[0])["queries"])
    rows = [_row(mode, found[portal, mode], found[stock, mode] if stock else None) for mode in MODES]
    columns = ["sign-on", "CPU ms", "requests/s", "stock: CPU ms", "requests/s", "stock / portal", "target", ""]
    table("Sign-on, one process, of people known already (CPU includes forked programs)", columns, rows)
    print(f"\n{queries} statements of SQL for one sign-on, transaction included.")


def _row(mode: Signed, ours: list[Costs], stock: list[Costs] | None) -> list[str]:
    cpu, rate = _middle(ours, "cpu"), 1000 / _middle(ours, "wall")
    shown = [NAMES[mode], ms(cpu), f"{rate:.0f}"]
    if stock is None:
        return [*shown, "-", "-", "-", "-", ""]
    ratio = median(theirs["cpu"] / mine["cpu"] for mine, theirs in zip(ours, stock, strict=True))
    target = TARGETS[mode]
    return [
        *shown,
        ms(_middle(stock, "cpu")),
        f"{1000 / _middle(stock, 'wall'):.0f}",
        times(ratio),
        f"≥ {target} ×",
        verdict(ratio >= target),
    ]


def garbage(messages: Messages, portal: Site, stock: Site | None) -> None:
    """Print what it costs to refuse; the stock side gets each message once, because some cost it seconds."""
    rows = []
    for name, form in messages.garbage().items():
        portal.visit(ACS, forms=[form])
        ours = [portal.visit(ACS, forms=[form] * 10) for _ in range(5)]
        told = [name, ms(_middle(ours, "cpu")), _memory(ours), str(ours[0]["statuses"][0])]
        if stock:
            theirs = [stock.visit(ACS, forms=[form])]
            told += [ms(_middle(theirs, "cpu")), _memory(theirs), str(theirs[0]["statuses"][0])]
        else:
            told += ["-", "-", "-"]
        rows.append(told)
    columns = ["refusing", "CPU ms", "more MB", "answer", "stock: CPU ms", "more MB", "answer"]
    table("Messages that have to be refused (302: signed on)", columns, rows)


def _middle(costs: list[Costs], what: str) -> float:
    return median(each[what] for each in costs)


def _memory(costs: list[Costs]) -> str:
    return f"{sum(each['memory'] for each in costs):.0f}"
