"""`manage.py policies [--account ID]`: the IAM documents that the present teams, domains and mappings ask for."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from provisioning.policies import documents, facts, options
from teams.models import AwsAccount


class Command(BaseCommand):
    """Reads rows only and asks AWS nothing; prints JSON, and what is missing on standard error."""

    help = "Print the least-privilege IAM policies and trust policies for the present teams, domains and mappings."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--account", default="", metavar="ID", help="only this AWS account")
        parser.add_argument("--format", default="json", choices=["json", "cloudformation"])
        parser.add_argument("--only", default="", metavar="NAME", help="only this document, as it is to be pasted")
        parser.add_argument("--portal-principal", default="", metavar="ARN", help="the role or user that the portal is")
        for name, told in (
            ("--source-ip", "an address or network from which URLs are minted and Studio is opened"),
            ("--vpc-source-ip", "the same behind a VPC endpoint"),
            ("--vpce", "a VPC endpoint through which URLs are minted and Studio is opened"),
        ):
            parser.add_argument(name, action="append", default=[], help=f"{told}; may be repeated")
        parser.add_argument(
            "--tag-session", action="store_true", help="sessions carry tags in every account, whatever its row says"
        )
        parser.add_argument(
            "--source-identity", action="store_true", help="sessions carry a source identity in every account"
        )

    def handle(self, *args: Any, **given: Any) -> None:
        """Print the documents; exit with 1 for an account or a name that is not there, or an option that cannot be."""
        try:
            made = documents.everything(facts.read(given["account"]), _options(given))
        except (options.OptionError, AwsAccount.DoesNotExist) as error:
            raise CommandError(str(error)) from error
        found = {each.name: each for each in (made.documents if given["format"] == "json" else made.templates)}
        for remark in made.remarks:
            self.stderr.write(remark)
        if given["only"]:
            if given["only"] not in found:
                raise CommandError(f"There is no document “{given['only']}”. There are: {', '.join(found) or 'none'}.")
            self.stdout.write(found[given["only"]].text)
            return
        bodies = {name: each.body for name, each in found.items()}
        self.stdout.write(json.dumps(bodies, indent=2, ensure_ascii=False))


def _options(given: dict[str, Any]) -> options.Options:
    return options.read(
        portal_principal=given["portal_principal"],
        source_ips=given["source_ip"],
        vpc_source_ips=given["vpc_source_ip"],
        endpoints=given["vpce"],
        tag_session=given["tag_session"],
        source_identity=given["source_identity"],
    )
