"""The price table as CSV: read line by line, compared with what is there, and saved as a whole or not at all.

The first line names the columns `instance_type`, `per_hour` and, where wanted, `region`, in any order. A line without a
Region is the price everywhere else. What the file does not name stays as it is.
"""

import csv
import io
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.core.cache import cache
from django.db import connection, transaction
from django.utils import timezone
from redis.exceptions import RedisError

from provisioning.aws import shapes
from provisioning.costs import months
from provisioning.models import Price, UsageHour
from teams import audit, sheets, snapshots
from teams.models import AuditEvent

COLUMNS = ("instance_type", "region", "per_hour")
NEEDED = frozenset({"instance_type", "per_hour"})
# AWS has some hundred instance types in some thirty Regions.
MAX_LINES = 20_000
MAX_BYTES = 1024 * 1024
MAX_FAULTS = 100

_INSTANCE = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]+")
# AWS writes ten places; zeros beyond the sixth say nothing.
_PRICE = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}0*)?")
# Noted again each minute, and forgotten when no worker does.
_MISSING = "costs:missing-prices"
_MISSING_SECONDS = 900
# One import at a time, so that what one has compared with is still there when it saves.
_LOCK = 0x50524943

Key = tuple[str, str]

logger = logging.getLogger(__name__)


class NotTextError(Exception):
    """A file is no text in UTF-8, or too large; the message says so in words for whoever chose it."""


@dataclass(frozen=True)
class Line:
    """A line of the file, with the price that was there before; None: there was none."""

    instance_type: str
    region: str
    per_hour: Decimal
    before: Decimal | None = None

    @property
    def name(self) -> str:
        """What the price is for."""
        return f"{self.instance_type} {self.region}".rstrip()


@dataclass
class Plan:
    """What a file would do. Where there are faults, nothing of it is done; warnings are no obstacle."""

    added: list[Line] = field(default_factory=list)
    changed: list[Line] = field(default_factory=list)
    unchanged: list[Line] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def decode(raw: bytes) -> str:
    """Return the text of a file; raises NotTextError."""
    if len(raw) > MAX_BYTES:
        raise NotTextError(f"The file is larger than {MAX_BYTES // 1024} KB.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotTextError("The file is not a text in UTF-8. Save it as CSV in UTF-8.") from None


def plan(text: str) -> Plan:
    """Compare a file with the table; nothing is changed."""
    made = Plan()
    known = {(price.instance_type, price.region): price.per_hour for price in Price.objects.all()}
    seen: dict[Key, int] = {}
    for number, cells in _rows(text, made):
        line = _line(number, cells, made)
        if line is None:
            continue
        key = (line.instance_type, line.region)
        if key in seen:
            made.faults.append(f"Line {number}: {line.name} has a price in line {seen[key]} already.")
        seen.setdefault(key, number)
        before = known.get(key)
        told = Line(line.instance_type, line.region, line.per_hour, before)
        (made.added if before is None else made.unchanged if before == line.per_hour else made.changed).append(told)
        if not is_known_type(line.instance_type):
            made.warnings.append(f"Line {number}: {doubt(line.instance_type)}")
    if not seen and not made.faults:
        made.faults.append("The file has no prices.")
    return made


def apply(text: str) -> Plan:
    """Save a file with an audit row for each price that is new or another one; nothing where there are faults."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        made = plan(text)
        lines = [*made.added, *made.changed]
        if made.faults or not lines:
            return made
        Price.objects.bulk_create(
            [Price(instance_type=each.instance_type, region=each.region, per_hour=each.per_hour) for each in lines],
            update_conflicts=True,
            unique_fields=["instance_type", "region"],
            update_fields=["per_hour"],
        )
        audit.record_many([_told(each) for each in lines])
    return made


def _told(line: Line) -> dict[str, object]:
    price = Price(instance_type=line.instance_type, region=line.region, per_hour=line.per_hour)
    after = snapshots.take(price)
    price.per_hour = line.before or Decimal(0)
    before = {} if line.before is None else snapshots.take(price)
    return {
        "action": AuditEvent.Action.IMPORTED,
        "target": snapshots.target(price),
        "data": snapshots.difference(before, after),
    }


def _rows(text: str, made: Plan) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number and the cells of each line behind the headings, by column; notes what has another form."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        if fault := _headings_fault(names):
            made.faults.append(fault)
            return
        for cells in reader:
            if reader.line_num > MAX_LINES:
                made.faults.append(f"The file has more than {MAX_LINES} lines.")
                return
            if len(made.faults) >= MAX_FAULTS:
                made.faults.append("There may be more; these come first.")
                return
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(names):
                told = f"Line {reader.line_num}: {len(cells)} columns instead of {len(names)}."
                made.faults.append(f"{told} Prices have a full stop, not a comma.")
                continue
            yield reader.line_num, dict(zip(names, (cell.strip() for cell in cells), strict=True))
    except csv.Error as error:
        made.faults.append(f"Line {reader.line_num}: this is no CSV ({error}).")


def _headings_fault(names: list[str]) -> str:
    """Return what is wrong with the first line, empty when nothing is."""
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        return "Line 1: divide the columns by commas, not by semicolons or tabs."
    if missing := [name for name in COLUMNS if name in NEEDED and name not in names]:
        return f"Line 1: the column {' and the column '.join(missing)} is missing. Known are {', '.join(COLUMNS)}."
    if unknown := [name for name in names if name not in COLUMNS]:
        return f"Line 1: unknown column “{unknown[0][:40]}”. Known are {', '.join(COLUMNS)}."
    if len(set(names)) < len(names):
        return "Line 1: a column is there twice."
    return ""


def _line(number: int, cells: dict[str, str], made: Plan) -> Line | None:
    """Return the line, or None after noting each of its faults."""
    before = len(made.faults)
    instance_type, region, price = cells["instance_type"], cells.get("region", ""), cells["per_hour"]
    made.faults += [f"Line {number}: {told}" for _name, told in name_faults(instance_type, region)]
    if not _PRICE.fullmatch(price):
        told = f"Line {number}: “{price[:40]}” is no price. Write digits with a full stop, like 0.05:"
        made.faults.append(f"{told} six before it and six behind it at most, no sign, no exponent.")
    return Line(instance_type, region, Decimal(price)) if len(made.faults) == before else None


def name_faults(instance_type: str, region: str) -> Iterator[tuple[str, str]]:
    """Yield the column and a sentence for each of both that cannot be what it is to be."""
    if len(instance_type) > 64 or not _INSTANCE.fullmatch(instance_type):
        yield "instance_type", f"“{instance_type[:40]}” is no instance type, like ml.t3.medium."
    if region and (len(region) > 32 or not _REGION.fullmatch(region)):
        yield "region", f"“{region[:40]}” is no Region, like eu-west-1."


def is_known_type(instance_type: str) -> bool:
    """Whether SageMaker's own list of instance types of apps, as of this release, has this one."""
    return not shapes.faults("AppInstanceType", instance_type)


def doubt(instance_type: str) -> str:
    """Return what to say of an instance type that SageMaker's list does not have."""
    return f"“{instance_type}” is not among the instance types that SageMaker had when this release was made."


def as_csv() -> Iterator[str]:
    """Yield the table as CSV that can be imported again."""
    prices = Price.objects.order_by("instance_type", "region").values_list(*COLUMNS)
    return sheets.rows_as_csv(COLUMNS, prices.iterator())


def note_missing() -> None:
    """Keep the answer of `missing` for the pages that tell of it: they are asked for far more often than it changes."""
    try:
        cache.set(_MISSING, missing(), timeout=_MISSING_SECONDS)
    except RedisError as error:
        logger.warning("Which instance types lack a price could not be noted: %s", type(error).__name__)


def noted_missing() -> list[str]:
    """Return what was last noted, without asking the database; nothing while the cache does not answer."""
    try:
        return list(cache.get(_MISSING) or ())
    except RedisError:
        return []


def missing(now: datetime | None = None) -> list[str]:
    """Return the instance types that ran in the present month and have no price, by name; AWS bills some of them."""
    begins = months.begins(months.of(now or timezone.now()))
    hours = UsageHour.objects.filter(per_hour__isnull=True, hour__gte=begins).exclude(app__instance_type="")
    types = set(hours.order_by().values_list("app__instance_type", "app__domain__region").distinct())
    if not types:
        return []
    known = set(Price.objects.values_list("instance_type", "region"))
    return sorted({name for name, region in types if not known & {(name, ""), (name, region)}})
