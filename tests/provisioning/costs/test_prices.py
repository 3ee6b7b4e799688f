"""The price table as CSV: all of a file or nothing, told line by line; in the admin and by `manage.py loadprices`.

Alice is a portal admin, Bob an auditor, Charlie has no role.
"""

import csv
from collections.abc import Callable
from decimal import Decimal
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from provisioning.costs import ledger, prices
from provisioning.models import Price
from teams import audit
from teams.models import AuditEvent
from tests.provisioning.costs.rows import HOUR, NOW, make_price, make_run
from tests.teams.admin_clients import client_of, errors, events, inline

pytestmark = pytest.mark.django_db

LIST = "/admin/provisioning/price/"
IMPORT = f"{LIST}import/"
EXAMPLE = Path(__file__).parents[3] / "deploy" / "prices.example.csv"
HEAD = "instance_type,per_hour,region\n"


def table() -> dict[tuple[str, str], str]:
    return {(each.instance_type, each.region): f"{each.per_hour.normalize():f}" for each in Price.objects.all()}


@pytest.fixture(name="load")
def _load(tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that writes a file, loads it and returns the lines that were printed."""

    def load(content: str | bytes, *options: str) -> list[str]:
        path, out = tmp_path / "prices.csv", StringIO()
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        call_command("loadprices", str(path), *options, stdout=out, stderr=out)
        return out.getvalue().splitlines()

    return load


Load = Callable[..., list[str]]


class TestLoading:
    def test_only_what_differs_is_changed_told_and_audited(self, load: Load) -> None:
        make_price("0.05")
        make_price("9", "ml.m5.large")
        make_price("1", "ml.c5.large")
        lines = load(HEAD + "ml.t3.medium,0.0500000000,\nml.m5.large,0.115,\n\nml.m5.large,0.128,eu-west-1\n")
        assert lines == ["ml.m5.large eu-west-1: new, 0.128", "ml.m5.large: 9.000000 → 0.115"]
        assert table() == {
            ("ml.t3.medium", ""): "0.05",
            ("ml.m5.large", ""): "0.115",
            ("ml.m5.large", "eu-west-1"): "0.128",
            ("ml.c5.large", ""): "1",
        }
        new, changed = events(action="imported")
        assert (new.actor, new.target) == ("system: loadprices", "price: ml.m5.large eu-west-1")
        assert (changed.target, changed.data) == (
            "price: ml.m5.large",
            {"before": {"per_hour": "9"}, "after": {"per_hour": "0.115"}},
        )
        assert load(HEAD + "ml.m5.large,0.115,\n") == ["no changes"]
        assert len(events(action="imported")) == 2

    def test_a_dry_run_changes_nothing(self, load: Load) -> None:
        lines = load(HEAD + "ml.m5.large,0.115,\n", "--dry-run")
        assert lines == ["ml.m5.large: new, 0.115", "Nothing was changed: this was a dry run."]
        assert table() == {}
        assert events() == []

    def test_the_example_is_good(self, load: Load) -> None:
        assert not any("not among" in line for line in load(EXAMPLE.read_bytes()))
        assert table()["ml.t3.medium", ""] == "0.05"

    def test_a_byte_order_mark_and_any_order_of_columns_are_fine(self, load: Load) -> None:
        load("\ufeffPer_Hour , instance_type\r\n0.05,ml.t3.medium\r\n")
        assert table() == {("ml.t3.medium", ""): "0.05"}

    def test_a_type_that_nobody_knows_yet_is_wondered_at_and_taken(self, load: Load) -> None:
        lines = load(HEAD + "ml.z9.large,1,\n")
        assert lines[0].startswith("Line 2: “ml.z9.large” is not among the instance types")
        assert table() == {("ml.z9.large", ""): "1"}

    @pytest.mark.parametrize(
        ("line", "fault"),
        [
            *((f"ml.t3.medium,{price},", "is no price") for price in ("-1", "+1", "NaN", "Infinity", "1e3", "1E-2")),
            *(
                (f"ml.t3.medium,{price},", "is no price")
                for price in ("", "0.1234567", "1000000", "1.", ".5", "٣", "$1")
            ),
            ("ml.t3.medium,0,05,", "Prices have a full stop"),
            ("=1+1,1,", "“=1+1” is no instance type"),
            (",1,", "is no instance type"),
            ("ml.t3.medium,1,Ireland", "“Ireland” is no Region"),
            ("ml.m5.large,2,", "ml.m5.large has a price in line 2 already"),
            ('ml.t3.medium,"1,', "this is no CSV"),
            ("ml.t3.medium\x00,1,", "is no instance type"),
        ],
    )
    def test_one_faulty_line_keeps_everything_out(self, load: Load, line: str, fault: str) -> None:
        with pytest.raises(CommandError) as refused:
            load(f"{HEAD}ml.m5.large,1,\n{line}\nml.c5.large,1,\n")
        assert fault in str(refused.value)
        assert "nothing was changed" in str(refused.value)
        assert table() == {}
        assert events() == []

    @pytest.mark.parametrize(
        ("content", "fault"),
        [
            ("instance_type;per_hour\nml.t3.medium;1\n", "not by semicolons"),
            ("instance_type,price\nml.t3.medium,1\n", "the column per_hour is missing"),
            ("instance_type,per_hour,vat\nml.t3.medium,1,2\n", "unknown column “vat”"),
            ("instance_type,per_hour,region,region\n", "a column is there twice"),
            ("", "is missing"),
            (HEAD, "The file has no prices"),
            (b"\xff\xfe\x00", "not a text in UTF-8"),
            (b"a" * (prices.MAX_BYTES + 1), "larger than"),
            (HEAD + "ml,x,\n" * 500, "There may be more"),
        ],
    )
    def test_files_that_are_something_else(self, load: Load, content: str | bytes, fault: str) -> None:
        with pytest.raises(CommandError, match=fault):
            load(content)

    def test_a_file_that_is_not_there(self) -> None:
        with pytest.raises(CommandError, match="cannot be read"):
            call_command("loadprices", "nowhere.csv")

    def test_prices_and_their_audit_rows_are_kept_together(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def crash(*_: object) -> None:
            raise RuntimeError

        monkeypatch.setattr(audit, "record_many", crash)
        with pytest.raises(RuntimeError):
            prices.apply(HEAD + "ml.t3.medium,1,\n")
        assert table() == {}


def upload(client: Client, content: str, **more: str) -> Any:
    return client.post(IMPORT, {"file": BytesIO(content.encode()), **more})


class TestImportPage:
    @pytest.fixture(name="alice")
    def _alice(self) -> Client:
        return client_of("alice")

    def test_it_is_shown_first_and_saved_then(self, alice: Client) -> None:
        make_price("9", "ml.m5.large")
        make_price("2", "ml.c5.large")
        page = upload(alice, HEAD + "ml.t3.medium,0.05,\nml.m5.large,0.115,\nml.c5.large,2,\n")
        text = page.content.decode()
        assert all(part in text for part in ("New: 1", "Changed: 1", "As they were: 1", "9.000000", "0.115"))
        assert inline(page) == []
        assert len(table()) == 2
        answer = alice.post(IMPORT, {"text": page.context["text"], "seen": page.context["seen"]}, follow=True)
        assert "Imported: 1 new, 1 changed, 1 as they were." in answer.content.decode()
        assert table()["ml.m5.large", ""] == "0.115"
        assert [event.actor for event in events(action="imported")] == ["alice", "alice"]

    def test_what_has_become_another_change_is_shown_again(self, alice: Client) -> None:
        page = upload(alice, HEAD + "ml.t3.medium,0.05,\n")
        make_price("1")
        again = alice.post(IMPORT, {"text": page.context["text"], "seen": page.context["seen"]})
        assert "Look again" in again.content.decode()
        assert table() == {("ml.t3.medium", ""): "1"}

    def test_faults_are_all_shown_and_there_is_nothing_to_agree_to(self, alice: Client) -> None:
        page = upload(alice, HEAD + "ml.t3.medium,-1,\n<script>,1,\nml.m5.large,1,\n")
        text = page.content.decode()
        assert "Line 2: “-1” is no price" in text
        assert "Line 3: “&lt;script&gt;” is no instance type" in text
        assert "Save it" not in text
        assert inline(page) == []
        alice.post(IMPORT, {"text": HEAD + "ml.t3.medium,-1,\nml.m5.large,1,\n", "seen": ""})
        assert table() == {}

    def test_without_a_file_or_with_another_one(self, alice: Client) -> None:
        assert "Choose a file." in alice.post(IMPORT, {}).content.decode()
        page = alice.post(IMPORT, {"file": BytesIO(b"\xff\xfe")})
        assert "not a text in UTF-8" in page.content.decode()

    @pytest.mark.parametrize(("name", "status"), [("bob", 403), ("charlie", 403), ("anonymous", 302)])
    def test_others_import_nothing(self, name: str, status: int) -> None:
        client = client_of(name)
        assert client.get(IMPORT).status_code == status
        found = client.post(IMPORT, {"text": HEAD + "ml.t3.medium,1,\n", "seen": "x"})
        assert found.status_code == status
        assert table() == {}


class TestAdmin:
    def test_edits_are_audited(self) -> None:
        alice = client_of("alice")
        data = {"instance_type": "ml.t3.medium", "region": "", "per_hour": "0.05"}
        assert alice.post(f"{LIST}add/", data).status_code == 302
        price = Price.objects.get()
        assert alice.post(f"{LIST}{price.pk}/change/", data | {"per_hour": "0.06"}).status_code == 302
        assert alice.post(f"{LIST}{price.pk}/delete/", {"post": "yes"}).status_code == 302
        assert [(event.action, event.target) for event in events()] == [
            (action, "price: ml.t3.medium") for action in ("created", "changed", "deleted")
        ]

    @pytest.mark.parametrize(
        ("name", "value"), [("per_hour", "-1"), ("per_hour", "NaN"), ("region", "Ireland"), ("instance_type", "a b")]
    )
    def test_what_cannot_be_is_refused(self, name: str, value: str) -> None:
        data = {"instance_type": "ml.t3.medium", "region": "", "per_hour": "0.05", name: value}
        assert list(errors(client_of("alice").post(f"{LIST}add/", data))) == [name]

    def test_a_type_of_its_own_is_wondered_at(self) -> None:
        data = {"instance_type": "ml.z9.large", "region": "", "per_hour": "1"}
        page = client_of("alice").post(f"{LIST}add/", data, follow=True)
        assert "is not among the instance types" in page.content.decode()

    def test_the_table_goes_out_as_it_comes_in(self) -> None:
        make_price("0.05")
        make_price("1", "ml.m5.large", "eu-west-1")
        response = client_of("bob").get(f"{LIST}export/")
        content = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
        assert list(csv.reader(StringIO(content)))[1:] == [
            ["ml.m5.large", "eu-west-1", "1.000000"],
            ["ml.t3.medium", "", "0.050000"],
        ]
        planned = prices.plan(content)
        assert (len(planned.unchanged), planned.added, planned.changed, planned.faults) == (2, [], [], [])

    def test_who_may_look(self) -> None:
        for name, status in (("alice", 200), ("bob", 200), ("charlie", 403), ("anonymous", 302)):
            client = client_of(name)
            for address in (LIST, f"{LIST}export/"):
                assert client.get(address).status_code == status
        page = client_of("bob").get(LIST).content.decode()
        assert "Download CSV" in page
        assert "Import CSV" not in page


def test_the_first_page_tells_which_types_lack_a_price() -> None:
    make_run(NOW - HOUR, seen=NOW)
    make_run(NOW - HOUR, seen=NOW, instance_type="ml.g5.xlarge")
    make_run(NOW - HOUR, seen=NOW, instance_type="")
    make_price("1")
    ledger.count(NOW)
    assert prices.missing(NOW) == ["ml.g5.xlarge"]
    make_price("1", "ml.g5.xlarge", "us-east-1")
    assert prices.missing(NOW) == ["ml.g5.xlarge"]
    make_price("1", "ml.g5.xlarge", "eu-west-1")
    assert prices.missing(NOW) == []
    ledger.count(NOW)
    assert prices.missing(NOW) == []
    assert AuditEvent.objects.count() == 0
    assert Price.objects.get(instance_type="ml.t3.medium").per_hour == Decimal(1)
