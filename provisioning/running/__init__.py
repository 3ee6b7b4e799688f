"""Apps that run: scans find them, people, admins and the rules of their teams stop them.

`scans` reads each domain page by page, `sightings` writes what it has seen, `owners` knows whose an app is. `stop` is
the door for whoever wants an app stopped; `stopping` has AWS do it. `rules` decides, purely, what a team's cleanup rule
says of an app, and `cleanup` acts on it. `idle` puts Studio's own idle shutdown into the UserSettings.
"""

from provisioning.running.stopping import stop as stop
