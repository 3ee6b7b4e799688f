"""Runs the checks in threads, all of them within one deadline, without a database connection or a transaction."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any

from provisioning.aws.preflight import Caller
from provisioning.database import give_back_connection
from provisioning.preflight import checks, plan
from provisioning.preflight.plan import AccountPlan, Plan
from provisioning.preflight.results import Result, Subject

logger = logging.getLogger(__name__)

SECONDS = 25.0
# What takes long by itself stops so much earlier, to be told of.
MARGIN = 8.0
THREADS = 8
MAPPINGS = "Role mappings"


@dataclass(frozen=True)
class _Job:
    """A check that runs in a thread, and what to say of it when it does not end in time."""

    subject: Subject
    check: Callable[[], list[Result]]


def run(*, seconds: float = SECONDS) -> list[Result]:
    """Check everything and return the results by account; takes `seconds` at most. Raises nothing of AWS."""
    until = time.monotonic() + seconds
    wanted = plan.read()
    give_back_connection()
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="preflight")
    try:
        return _run(pool, wanted, until)
    finally:
        # What is still under way ends by its own time limits.
        pool.shutdown(wait=False, cancel_futures=True)


def _run(pool: ThreadPoolExecutor, wanted: Plan, until: float) -> list[Result]:
    results, own = _portal(pool, wanted.region, until)
    directories = [
        _Job(Subject(checks.DIRECTORIES, f"Directory {each.slug}"), partial(checks.check_directory, each))
        for each in wanted.directories
    ]
    doors = [_Job(Subject(each.group, "Account"), partial(checks.check_account, each, own)) for each in wanted.accounts]
    told = _told(pool, [*doors, *directories], until)
    found, of_directories = told[: len(doors)], told[len(doors) :]
    inside = [
        _inside(account, until) if checks.is_open(door) else []
        for account, door in zip(wanted.accounts, found, strict=True)
    ]
    rest = iter(_told(pool, [job for jobs in inside for job in jobs], until))
    for door, jobs in zip(found, inside, strict=True):
        results += door
        results += [result for _ in jobs for result in next(rest)]
    results += [result for each in of_directories for result in each]
    return results + [Subject(MAPPINGS, "Role").warn(remark) for remark in wanted.remarks]


def _portal(pool: ThreadPoolExecutor, region: str, until: float) -> tuple[list[Result], Caller | None]:
    """Return what AWS says of the portal itself, and who it is."""
    future = pool.submit(checks.check_portal, region)
    wait([future], timeout=max(0.0, until - time.monotonic()))
    if future.done() and future.exception() is None:
        return future.result()
    return [_not_done(Subject(checks.PORTAL, "Credentials"), future)], None


def _inside(account: AccountPlan, until: float) -> list[_Job]:
    """Return the checks of an account that the portal gets into."""
    jobs = [
        _Job(Subject(account.group, f"Domain {each.facts.domain_id}"), partial(checks.check_domain, account, each))
        for each in account.domains
    ]
    jobs += [
        _Job(Subject(account.group, f"Profiles in {region}"), partial(checks.check_profiles, account, region))
        for region in account.regions
    ]
    if account.roles:
        check = partial(checks.check_roles, account, until=until - MARGIN)
        jobs.append(_Job(Subject(account.group, "Execution roles"), check))
    return jobs


def _told(pool: ThreadPoolExecutor, jobs: Sequence[_Job], until: float) -> list[list[Result]]:
    """Run these checks at once and return the results of each, in order."""
    futures = [pool.submit(job.check) for job in jobs]
    wait(futures, timeout=max(0.0, until - time.monotonic()))
    return [
        future.result() if future.done() and future.exception() is None else [_not_done(job.subject, future)]
        for job, future in zip(jobs, futures, strict=True)
    ]


def _not_done(subject: Subject, future: "Future[Any]") -> Result:
    if not future.done():
        return subject.fail("AWS did not answer in time.")
    fault = future.exception()
    logger.error("A check of the preflight broke.", exc_info=fault)
    return subject.fail(f"The check broke ({type(fault).__name__}); the log has more.")
