"""The admin pages of this floor: teams and mappings, AWS accounts and domains, people, access by hand, the log."""

from teams.admin import aws, constants, giving, log, mappings, people, teams  # noqa: F401  (importing a module registers them)
