"""What people fill in: every rule about who may do what is in `teams.grants` and `teams.requests`."""

from datetime import date, datetime
from typing import Any

from django import forms

from teams import grants
from teams.owners import NotAllowedError


class ReasonForm(forms.Form):
    """A reason that has to be given."""

    reason = forms.CharField(max_length=grants.REASON_LENGTH, error_messages={"required": "Give a reason."}, strip=True)


class UntilForm(forms.Form):
    """The last day of somebody's access."""

    until = forms.DateField(error_messages={"required": "Choose a day.", "invalid": "Give a day like 2031-05-31."})

    def clean_until(self) -> datetime:
        """Return the end of the day."""
        day: date = self.cleaned_data["until"]
        try:
            return grants.end_of(day)
        except (OverflowError, ValueError):
            raise forms.ValidationError("There is no such day.") from None


class ApproveForm(UntilForm):
    """Until when somebody is let in, and words for them that may be left out."""

    reason = forms.CharField(max_length=grants.REASON_LENGTH, required=False)


class GiveForm(UntilForm, ReasonForm):
    """Who is given access, until when and why."""

    who = forms.CharField(max_length=330, error_messages={"required": "Give a user name or a mail address."})


def valid(form: forms.Form) -> dict[str, Any]:
    """Return what a form says; raises NotAllowedError with its first fault, because a page says one thing at a time."""
    if not form.is_valid():
        faults: Any = form.errors.as_data()
        raise NotAllowedError(str(next(iter(faults.values()))[0].messages[0]))
    return form.cleaned_data


def key(text: str) -> int:
    """Return the key of a row that a form names; 0, which no row has, for anything else."""
    return int(text) if text.isdecimal() and len(text) < 19 else 0
