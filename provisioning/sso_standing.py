"""What somebody has to know about domains and IAM Identity Center, with the domain whose page helps."""

from dataclasses import dataclass

from django.db.models import Count, Q

from provisioning import sso_domains
from provisioning.models import Directory
from teams.models import Domain


@dataclass(frozen=True)
class Trouble:
    """A sentence about a domain, by its key."""

    text: str
    domain: int
    alarming: bool


def warnings() -> list[Trouble]:
    """Return what is wrong with domains, the alarming things first; one query, two where people are assigned."""
    active = Count("teams", filter=Q(teams__is_active=True))
    rows = list(Domain.objects.annotate(active=active).filter(active__gt=0))
    assigns = any(row.assigns_application and row.auth_mode == sso_domains.SSO for row in rows)
    read = not assigns or Directory.objects.filter(is_active=True).exists()
    found = [trouble for row in rows for trouble in _about(row, row.active, read)]
    return sorted(found, key=lambda each: not each.alarming)


def _about(row: Domain, active: int, read: bool) -> list[Trouble]:
    name = row.name or row.domain_id
    if wrong := sso_domains.mismatch(row):
        return [Trouble(wrong, row.pk, alarming=True)]
    if row.auth_mode != sso_domains.SSO:
        return []
    found = []
    if active > 1:
        text = f"The domain “{name}” is in SSO mode and has {active} active teams; only one of them can work."
        found.append(Trouble(text, row.pk, alarming=True))
    if row.look_error:
        text = f"The domain “{name}” could not be described, so that its address may be out of date. {row.look_error}"
        found.append(Trouble(text, row.pk, alarming=not row.url))
    elif row.looked_at and not row.url:
        found.append(Trouble(f"AWS tells no address of the domain “{name}”: nobody can enter it.", row.pk, True))
    if row.assigns_application and row.looked_at and not row.application_arn:
        text = f"AWS tells no application of the domain “{name}”, to which the portal is to assign people."
        found.append(Trouble(text, row.pk, alarming=True))
    if row.assigns_application and not read:
        text = f"The portal is to assign people to the application of “{name}”, and reads no directory that knows them."
        found.append(Trouble(text, row.pk, alarming=True))
    return found
