"""Celery tasks: hints to look at rows. What they find and do is in the rows; losing one costs seconds."""

from celery import shared_task

from provisioning import crowd, ending, profiles, queue, sso_domains, watch
from provisioning.costs import budgets, ledger, prices
from provisioning.directory import marks, syncs, upkeep, working
from provisioning.models import Directory, DirectorySync
from provisioning.reconcile import runs
from provisioning.rows import State
from provisioning.running import claims, cleanup, scans, stopping
from teams import audit

# Rows that come back later than this are left to the sweep.
NEAR = 30.0
# How many due rows one sweep hands out, and for how long the hint is good: the next sweep gives another.
SWEEP_LIMIT = 1000
HINT_SECONDS = 20.0
RECONCILE_HINT_SECONDS = 50.0
WORK_OFF = "provisioning.tasks.work_off_marks"
# How many domains one task looks at.
DOMAINS_LIMIT = 20
# How long one task reads again what is dirty, before it makes room for others.
WORK_SECONDS = 15.0


@shared_task(name=queue.ENSURE)
def ensure_profile(profile_id: int, request_id: str = "") -> None:
    """Make one step at a profile, and ask for the next; `request_id` is that of the web request that it began with."""
    with audit.context(actor="system: ensure_profile", request_id=request_id):
        following = profiles.ensure(profile_id)
        if following.seconds is not None and following.seconds <= NEAR:
            queue.enqueue_ensure(profile_id, countdown=following.seconds)
        if following.watch is not None:
            watch.hint(following.watch)


@shared_task(name=watch.WATCH)
def watch_domain(domain_id: int) -> None:
    """Look at the profiles that are being made in a domain, and ask for the next look."""
    with audit.context(actor="system: watch_domain"):
        following = watch.look(domain_id)
        if following is not None:
            watch.hint(domain_id, countdown=following)


@shared_task(name=queue.RETIRE)
def retire_profile(profile_id: int, request_id: str = "") -> None:
    """Make one step at a profile whose access has ended, and ask for the next, of whatever kind it is by then."""
    with audit.context(actor="system: retire_profile", request_id=request_id):
        following = profiles.retire(profile_id)
        if following.seconds is not None and following.seconds <= NEAR:
            enqueue = queue.enqueue_retire if following.state == State.RETIRING else queue.enqueue_ensure
            enqueue(profile_id, countdown=following.seconds)


@shared_task(name="provisioning.tasks.sweep")
def sweep() -> None:
    """Hand out the rows that are due and that nobody works on: whatever Redis or a worker lost."""
    for domain_id in crowd.domains():
        watch.hint(domain_id, countdown=0)
    for profile_id in profiles.due(SWEEP_LIMIT):
        if not queue.enqueue_ensure(profile_id, expires=HINT_SECONDS):
            return
    for profile_id in profiles.due_to_retire(SWEEP_LIMIT):
        if not queue.enqueue_retire(profile_id, expires=HINT_SECONDS):
            return


@shared_task(name=queue.END_ACCESS)
def end_access() -> None:
    """Retire the profiles of everybody whose access has ended, by whatever and if only by time; the sweep goes on."""
    with audit.context(actor="system: end_access"):
        ending.end_access()


@shared_task(name="provisioning.tasks.prepare_missing")
def prepare_missing() -> None:
    """Make the rows that live access lacks, and wake those that lag behind their team; the sweep hands them out."""
    with audit.context(actor="system: prepare_missing"):
        profiles.prepare()
        profiles.follow_forms()


@shared_task(name=syncs.SYNCHRONISE)
def synchronise(sync_id: int) -> None:
    """Make one step at a synchronisation, and ask for the next."""
    with audit.context(actor="system: synchronise"):
        following = syncs.step(sync_id)
        if following.state == DirectorySync.State.READING and following.seconds is not None:
            syncs.hint(sync_id, countdown=following.seconds)


@shared_task(name="provisioning.tasks.sweep_directories")
def sweep_directories() -> None:
    """Begin the synchronisations that are due, and hand out steps and marks that nobody works on."""
    with audit.context(actor="system: sweep_directories"):
        syncs.start_due()
        for directory in Directory.objects.filter(is_active=True):
            upkeep.note_unread(directory)
    for sync_id in syncs.due(SWEEP_LIMIT):
        syncs.hint(sync_id, expires=HINT_SECONDS)
    for directory_id in set(marks.due().order_by().values_list("directory", flat=True)):
        queue.enqueue(WORK_OFF, directory_id, expires=HINT_SECONDS)


@shared_task(name=WORK_OFF)
def work_off_marks(directory_id: int) -> None:
    """Read again what is dirty in a directory and what its consumer has left."""
    with audit.context(actor="system: work_off_marks"):
        if not working.work_off(directory_id, seconds=WORK_SECONDS):
            queue.enqueue(WORK_OFF, directory_id, expires=HINT_SECONDS)


@shared_task(name="provisioning.tasks.look_at_domains")
def look_at_domains() -> None:
    """Keep up to date what AWS says of domains."""
    with audit.context(actor="system: look_at_domains"):
        for domain_id in sso_domains.due(DOMAINS_LIMIT):
            sso_domains.look_by_id(domain_id)


@shared_task(name="provisioning.tasks.purge_directories")
def purge_directories() -> None:
    """Delete old synchronisations, marks and dead letters."""
    upkeep.purge()


@shared_task(name="provisioning.tasks.count_usage")
def count_usage() -> None:
    """Count the hours of apps, see to the budgets that they have spent, and note which types lack a price."""
    with audit.context(actor=budgets.ACTOR):
        ledger.count()
        budgets.check()
    prices.note_missing()


@shared_task(name="provisioning.tasks.purge_usage")
def purge_usage() -> None:
    """Delete hours of apps that are kept no longer."""
    ledger.purge()


@shared_task(name="provisioning.tasks.sweep_apps")
def sweep_apps() -> None:
    """Hand out the scans that are due and the apps that are to be stopped."""
    scans.prepare()
    for app_id in stopping.due(SWEEP_LIMIT):
        claims.hint(app_id, expires=HINT_SECONDS)
    for scan_id in scans.due(SWEEP_LIMIT):
        scans.hint(scan_id, expires=HINT_SECONDS)


@shared_task(name=scans.SCAN)
def scan_domain(scan_id: int) -> None:
    """Make one step at the scan of a domain for apps, and ask for the next."""
    with audit.context(actor="system: scan_domain"):
        seconds = scans.step(scan_id)
        if seconds is not None and seconds <= NEAR:
            scans.hint(scan_id, countdown=seconds)


@shared_task(name=claims.STOP)
def stop_app(app_id: int, request_id: str = "") -> None:
    """Make one step at an app that is to be stopped, and ask for the next."""
    with audit.context(actor="system: stop_app", request_id=request_id):
        seconds = stopping.step(app_id)
        if seconds is not None and seconds <= NEAR:
            claims.hint(app_id, countdown=seconds)


@shared_task(name="provisioning.tasks.clean_up_apps")
def clean_up_apps() -> None:
    """Warn of and have stopped what the cleanup rules of teams speak against."""
    with audit.context(actor="system: clean_up_apps"):
        cleanup.sweep()


@shared_task(name=runs.RECONCILE)
def reconcile(run_id: int) -> None:
    """Make one step at a comparison of a domain, and ask for the next."""
    with audit.context(actor="system: reconcile"):
        following = runs.step(run_id)
        if following.seconds is not None and following.seconds <= NEAR:
            runs.hint(run_id, countdown=following.seconds)


@shared_task(name="provisioning.tasks.sweep_reconciliations")
def sweep_reconciliations() -> None:
    """Begin the comparisons that are due, and hand out steps that nobody works on."""
    with audit.context(actor="system: sweep_reconciliations"):
        runs.start_due()
    for run_id in runs.due(SWEEP_LIMIT):
        runs.hint(run_id, expires=RECONCILE_HINT_SECONDS)


@shared_task(name="provisioning.tasks.purge_reconciliations")
def purge_reconciliations() -> None:
    """Delete old comparisons."""
    runs.purge()
