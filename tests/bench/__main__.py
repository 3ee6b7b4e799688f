"""`python -m tests.bench [part …]`: measure on this machine, in one run, and print tables; `make bench`."""

import os
import sys
import time
from pathlib import Path

import django

# Starts PostgreSQL and Redis and sets the environment, as for the tests.
import tests.environment  # noqa: F401
from tests.bench.sites import PORTAL, STOCK, Site, database, xmlsec1

PARTS = ("sign-on", "launch", "first-launch", "hostile", "directory", "onboarding", "reconcile")


def main(parts: list[str]) -> None:
    """Measure these parts, or all."""
    begun = time.monotonic()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{os.cpu_count()} processors, load {load} at the start, Python {sys.version.split()[0]}")
    with database("bench_portal") as portal_url, database("bench_stock") as stock_url:
        os.environ["DATABASE_URL"] = portal_url
        django.setup()
        _measure(parts or list(PARTS), Site(PORTAL, portal_url), stock_url)
        from django.db import connections

        connections.close_all()
    print(f"\n{time.monotonic() - begun:.0f} s, load {os.getloadavg()[0]:.1f} at the end")


def _measure(parts: list[str], portal: Site, stock_url: str) -> None:
    from tests.bench import directory, first_launches, hostile, launches, onboarding, reconcile
    from tests.bench.world import make_teams

    make_teams()
    if "launch" in parts:
        launches.measure()
    if "first-launch" in parts:
        first_launches.measure()
    if "sign-on" in parts:
        _sign_on(portal, stock_url)
    if "hostile" in parts:
        hostile.scrubber()
        hostile.parser()
    if "directory" in parts:
        directory.measure()
    if "onboarding" in parts:
        onboarding.measure()
    if "reconcile" in parts:
        reconcile.measure()


def _sign_on(portal: Site, stock_url: str) -> None:
    from tests.bench import sign_on
    from tests.bench.messages import Messages

    messages = Messages(Path(os.environ["SAML_IDP_METADATA"]), os.environ["PORTAL_URL"])
    stock = Site(STOCK, stock_url) if xmlsec1() else None
    sites = [site for site in (portal, stock) if site]
    for site in sites:
        site.start()
    sign_on.honest(messages, portal, stock)
    sign_on.garbage(messages, portal, stock)
    for site in sites:
        site.stop()
    if stock is None:
        print("\nxmlsec1 not found: the comparison is left out; install it to compare.")


if __name__ == "__main__":
    main(sys.argv[1:])
