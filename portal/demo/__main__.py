"""`python -m portal.demo`: the whole product on this computer, with stand-ins for the outside world."""

import argparse
import io
import os
import sys
from pathlib import Path

from portal.demo import leftovers
from portal.demo.environment import Ports
from portal.demo.home import DemoError, Home
from portal.demo.supervisor import SOURCE, Supervisor


def main() -> int:
    """Run the demo until it is stopped, or forget its data; 1 when it cannot start or a part of it fails."""
    parser = argparse.ArgumentParser(prog="python -m portal.demo", description="Runs Studio Portal with stand-ins.")
    parser.add_argument("--state-dir", type=Path, default=SOURCE / ".demo", help="where everything is kept")
    parser.add_argument("--reset", action="store_true", help="remove everything that is kept, and stop")
    options = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that knows no check mark shows a question mark.
        sys.stdout.reconfigure(errors="replace")
    home = Home(options.state_dir.resolve())
    try:
        with home.locked():
            # Every process that starts from here can be told from others.
            os.environ[leftovers.MARK] = str(home.path)
            if options.reset:
                leftovers.stop(home)
                home.forget()
                print(f"{home.path} is removed.")
                return 0
            home.create()
            Supervisor(home, Ports.read(os.environ)).run()
    except (DemoError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
