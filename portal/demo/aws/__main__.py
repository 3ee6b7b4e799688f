"""Run the AWS stand-in: `python -m portal.demo.aws --port 8002 --state-file .demo/aws.json`."""

import argparse
import errno
import signal
import sys
import threading
from pathlib import Path

from portal.demo.aws.errors import StateFileError
from portal.demo.aws.personality import PRESETS
from portal.demo.aws.seed import REGION
from portal.demo.aws.server import HOST, start


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit status."""
    options = _options()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    personality = {
        "preset": options.personality,
        "create_delay": options.create_delay,
        "delete_delay": options.delete_delay,
        "seed": options.seed,
    }
    try:
        handle = start(
            options.port, options.state_file, personality, region=options.region, people_work=options.people_work
        )
    except (OSError, StateFileError, ValueError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        print(f"Port {options.port} of {HOST} is in use" if taken else error, file=sys.stderr)
        return 1
    print(f"AWS stand-in at {handle.url}", flush=True)
    stop.wait()
    handle.stop()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m portal.demo.aws", description="An AWS endpoint for demonstrations."
    )
    parser.add_argument("--port", type=int, default=8002)
    parser.add_argument("--state-file", type=Path, help="where to keep the state between runs")
    parser.add_argument("--region", default=REGION, help="Region of the demo's domains (default: %(default)s)")
    parser.add_argument("--create-delay", type=float, default=3.0, help="seconds that a new profile is Pending")
    parser.add_argument("--delete-delay", type=float, default=2.0, help="seconds that a deletion takes")
    parser.add_argument("--people-work", action="store_true", help="who enters Studio runs JupyterLab there")
    parser.add_argument("--personality", choices=sorted(PRESETS), default="plain")
    parser.add_argument("--seed", type=int, default=0, help="of chance, where a personality uses it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
