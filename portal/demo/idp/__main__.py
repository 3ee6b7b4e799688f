"""`python -m portal.demo.idp --port 8001 --state-dir .demo/idp --portal-url http://127.0.0.1:8000`."""

import argparse
import signal
import sys
from pathlib import Path

from portal.demo.idp.flavours import FLAVOURS, IDENTITY_CENTER
from portal.demo.idp.personality import FAULTS, Personality
from portal.demo.idp.server import start


def main() -> int:
    """Serve until SIGINT or SIGTERM; 1 when the port is taken or an option makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m portal.demo.idp", description="A demo SAML identity provider.")
    parser.add_argument("--port", type=int, default=8001, help="loopback port")
    parser.add_argument("--state-dir", type=Path, default=Path(".demo/idp"), help="where the signing key is kept")
    parser.add_argument("--portal-url", default="http://127.0.0.1:8000", help="the portal that it signs people on to")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds to wait before each page")
    parser.add_argument("--fault", choices=FAULTS, default="none", help="how to misbehave")
    parser.add_argument("--flavour", choices=FLAVOURS, default=IDENTITY_CENTER.name, help="whose habits to show")
    options = parser.parse_args()
    # Blocked before any thread starts, so that only sigwait below receives them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        handle = start(
            state_dir=options.state_dir,
            portal_url=options.portal_url,
            port=options.port,
            personality=Personality(options.delay, options.fault, options.flavour),
        )
    except (OSError, ValueError) as error:
        print(f"The identity provider did not start on port {options.port}: {error}", file=sys.stderr)
        return 1
    print(f"Identity provider at {handle.url}, for {handle.provider.portal_url}", flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    handle.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
