"""The admin pages of this floor: teams and mappings, AWS accounts and domains, people, the log."""

from teams.admin import aws, log, mappings, people, teams  # noqa: F401  (importing a module registers its pages)
