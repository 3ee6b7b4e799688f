"""Which permission is missing, from the sentences that AWS writes."""

import pytest

from provisioning.permissions import explain, is_told

USER = "arn:aws:sts::111122223333:assumed-role/portal/studio-portal"
ROLE = "arn:aws:iam::111122223333:role/team1"
START = f"User: {USER} is not authorized to perform: iam:PassRole"


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (
            f" on resource: {ROLE} because no identity-based policy allows the iam:PassRole action",
            f" on {ROLE}: no identity-based policy allows it.",
        ),
        (
            f" on resource: {ROLE} with an explicit deny in a service control policy",
            f" on {ROLE}: an explicit deny in a service control policy forbids it.",
        ),
        (f" on resource: {ROLE} with an explicit deny", f" on {ROLE}: an explicit deny forbids it."),
        (
            f" on resource: {ROLE} because no permissions boundary allows the iam:PassRole action",
            f" on {ROLE}: no permissions boundary allows it.",
        ),
        (" because no session policy allows the iam:PassRole action", ": no session policy allows it."),
        (f" on resource: {ROLE}", f" on {ROLE}: AWS gives no reason."),
        (" because the moon is full.", ": because the moon is full."),
        ("", ": AWS gives no reason."),
    ],
)
def test_who_may_not_do_what_on_what_and_why(end: str, told: str) -> None:
    assert explain(START + end) == f"{USER} may not iam:PassRole{told}"
    assert is_told(explain(START + end))


@pytest.mark.parametrize("text", ["", "Access denied", "No.", "is not authorized to perform:", "User: x " * 400])
def test_other_words_stay_as_they_are(text: str) -> None:
    assert explain(text) == text
    assert not is_told(text)
