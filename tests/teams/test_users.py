"""`sign_on`: people are created and brought up to date, and get their portal role from groups."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams import users
from teams.models import AuditEvent, User
from teams.users import UnusableIdentityError
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def sign_on(
    subject: str = "alice",
    *,
    realm: str = "default",
    name: str | None = None,
    email: str | None = None,
    groups: set[str] | None = None,
) -> User:
    return users.sign_on(
        realm=realm,
        subject=subject,
        name=name,
        email=email,
        groups=None if groups is None else frozenset(groups),
    )


def test_a_new_person_is_created() -> None:
    user = sign_on(name="Alice Äther", email="alice@example.com")
    user.refresh_from_db()
    assert (user.realm, user.subject, user.username) == ("default", "alice", "alice")
    assert (user.name, user.email, user.role, user.is_active) == ("Alice Äther", "alice@example.com", "", True)
    assert not user.has_usable_password()


def test_the_same_person_is_found_again() -> None:
    first = sign_on()
    assert sign_on() == first
    assert User.objects.count() == 1


def test_subjects_are_compared_exactly() -> None:
    assert len({sign_on(subject).pk for subject in ("alice", "Alice", "alice2", "äther", "a\u0308ther")}) == 5


def test_realms_never_share_a_person() -> None:
    subjects = ["bob", "partner/bob", "x/bob"]
    realms = ["default", "partner", "x"]
    people = {sign_on(subject, realm=realm).pk for realm in realms for subject in subjects}
    assert len(people) == 9
    assert User.objects.values("username").distinct().count() == 9


def test_a_new_name_and_address_are_taken_over() -> None:
    sign_on(name="Alice", email="alice@example.com")
    user = sign_on(name="Alice B.", email="alice.b@example.com")
    user.refresh_from_db()
    assert (user.name, user.email) == ("Alice B.", "alice.b@example.com")


def test_an_absent_name_and_address_keep_what_is_known() -> None:
    sign_on(name="Alice", email="alice@example.com")
    assert sign_on().name == "Alice"
    assert User.objects.get().email == "alice@example.com"


def test_an_empty_name_is_a_statement() -> None:
    sign_on(name="Alice")
    assert sign_on(name="").name == ""


def test_nothing_new_costs_one_query(django_assert_num_queries: Any, settings: Any) -> None:
    settings.PORTAL_ADMIN_GROUPS = ["admins"]
    sign_on(name=" Alice\n", email=" alice@example.com", groups={"staff"})
    with django_assert_num_queries(1):
        sign_on(name=" Alice\n", email=" alice@example.com", groups={"staff"})


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("  Alice \t B.\r\n", "Alice B."),
        ("A\x00l\u202eice\ud800", "A l ice"),
        ("x" * 300, "x" * 256),
        ("x" * 255 + " y", "x" * 255),
        ("\x00", ""),
    ],
)
def test_names_are_tidied_and_cut(said: str, kept: str) -> None:
    sign_on(name=said)
    assert User.objects.get().name == kept


@pytest.mark.parametrize("unusable", ["x" * 309 + "@example.com", "a b@example.com", "a\x00@example.com", "\ud800@x"])
def test_an_address_that_cannot_be_used_keeps_the_old_one(unusable: str) -> None:
    sign_on(email="alice@example.com")
    assert sign_on(email=unusable).email == "alice@example.com"


@pytest.mark.parametrize(
    "subject",
    [
        "",
        " ",
        "x" * 257,
        "a\x00",
        "a\nb",
        "a\x7f",
        "a\u200bb",
        "a\u202eb",
        "a\u2028",
        "\ud800",
        " alice",
        "alice\u3000",
    ],
)
def test_a_subject_that_cannot_be_used_is_refused(subject: str) -> None:
    with pytest.raises(UnusableIdentityError) as refused:
        sign_on(subject)
    assert isinstance(refused.value, ValueError)
    assert not User.objects.exists()


def test_the_refusal_does_not_repeat_the_subject() -> None:
    with pytest.raises(UnusableIdentityError) as refused:
        sign_on("evil\n" * 10)
    assert "evil" not in str(refused.value)


@pytest.mark.parametrize("realm", ["", "x" * 65, "a/b", "a\x00"])
def test_a_realm_that_cannot_be_used_is_refused(realm: str) -> None:
    with pytest.raises(UnusableIdentityError):
        sign_on(realm=realm)


def test_the_longest_names_fit() -> None:
    assert sign_on("x" * 256, realm="r" * 64).username == "r" * 64 + "/" + "x" * 256


def test_nobody_becomes_the_local_administrator() -> None:
    root = User.objects.create_superuser("root", password="correct horse battery")
    with pytest.raises(UnusableIdentityError):
        sign_on("root")
    assert User.objects.get() == root


@settings(deadline=None)
@given(subject=st.text(max_size=300))
def test_any_text_is_either_refused_or_stored_as_it_is(subject: str) -> None:
    try:
        user = sign_on(subject)
    except UnusableIdentityError:
        assert not User.objects.filter(realm="default").exists()
    else:
        assert User.objects.get(pk=user.pk).subject == subject
        user.delete()


class TestRole:
    @pytest.fixture(autouse=True)
    def _groups(self, settings: Any) -> None:
        settings.PORTAL_ADMIN_GROUPS = ["admins", "root"]
        settings.PORTAL_AUDITOR_GROUPS = ["auditors"]

    @pytest.mark.parametrize(
        ("groups", "role"),
        [
            ({"admins"}, "admin"),
            ({"root", "staff"}, "admin"),
            ({"auditors"}, "auditor"),
            ({"auditors", "admins"}, "admin"),
            ({"staff"}, ""),
            ({"Admins", "admin"}, ""),
            (set(), ""),
        ],
    )
    def test_groups_decide(self, groups: set[str], role: str) -> None:
        assert sign_on(groups=groups).role == role
        assert User.objects.get().role == role

    @pytest.mark.parametrize("before", ["admin", "auditor"])
    def test_leaving_the_group_takes_the_role_away(self, before: str) -> None:
        make_user("alice", role=before)
        assert sign_on(groups=set()).role == ""
        event = AuditEvent.objects.get()
        assert (event.action, event.target) == ("role_changed", "alice")
        assert event.data == {"before": before, "after": "", "groups": []}

    def test_the_log_names_the_groups_that_decided(self) -> None:
        sign_on(groups={"auditors", "staff"})
        assert AuditEvent.objects.get().data == {"before": "", "after": "auditor", "groups": ["auditors"]}

    def test_no_statement_keeps_the_role(self) -> None:
        make_user("alice", role="admin")
        assert sign_on(groups=None).role == "admin"
        assert not AuditEvent.objects.exists()

    def test_without_settings_groups_do_not_decide(self, settings: Any) -> None:
        settings.PORTAL_ADMIN_GROUPS = settings.PORTAL_AUDITOR_GROUPS = []
        make_user("alice", role="auditor")
        assert sign_on(groups={"admins"}).role == "auditor"

    def test_one_setting_is_enough(self, settings: Any) -> None:
        settings.PORTAL_ADMIN_GROUPS = []
        make_user("alice", role="admin")
        assert sign_on(groups={"admins"}).role == ""

    def test_the_same_role_writes_nothing(self) -> None:
        sign_on(groups={"admins"})
        sign_on(groups={"root"})
        assert AuditEvent.objects.count() == 1


def test_an_inactive_person_stays_as_they_are(settings: Any) -> None:
    settings.PORTAL_ADMIN_GROUPS = ["admins"]
    make_user("alice", is_active=False, name="Alice")
    user = sign_on(name="Mallory", groups={"admins"})
    user.refresh_from_db()
    assert (user.is_active, user.name, user.role) == (False, "Alice", "")
    assert not AuditEvent.objects.exists()
