"""`iqa serve`: options, one core call, exit code."""

from __future__ import annotations

import ipaddress
from contextlib import closing
from typing import TYPE_CHECKING

from iqa_cli.cli.flags.serve import LimitFlags, ServerFlags
from iqa_cli.cli.flags.shared import RuntimeFlags, spread
from iqa_cli.errors import ExtraMissing
from iqa_cli.options import DEFAULT_MODEL

if TYPE_CHECKING:
    from iqa_cli.gate.policy import Policy
    from iqa_cli.library import Scorer

EXIT_CODES = "Exit codes: 0 stopped by Ctrl-C, SIGTERM or SIGHUP, 2 usage, policy or a missing extra, 3 model, 4 the address."


@spread
def serve(*, server: ServerFlags, limits: LimitFlags, runtime: RuntimeFlags) -> None:
    """Score photos over HTTP: POST /score, and POST /gate by a policy. Needs the \\[serve] extra.

    The body is an image, or a form with several files. GET /docs says more, /openapi.json all, /metrics counts for Prometheus.

    It listens to this machine only, unless told: there is no password and no encryption; put a proxy before it.

    $ iqa serve --policy policy.toml

    $ curl --data-binary @photo.jpg http://127.0.0.1:8000/score
    """
    bounds = limits.gather()
    try:
        from iqa_cli.server import app, run
    except ModuleNotFoundError as error:
        raise ExtraMissing("serve", "iqa serve") from error
    from iqa_cli.cli.views import terminal
    from iqa_cli.gate.gate import Gate
    from iqa_cli.gate.policy import read_policy

    policy = read_policy(server.policy) if server.policy else None
    with closing(run.open_socket(server.host, server.port)) as listener, open_scorer(server, limits, runtime, policy) as scorer:
        service = app.Service(scorer, Gate(policy, scorer) if policy else None, bounds)
        if not server.quiet:
            terminal.print_notes(describe_start(listener.getsockname(), policy))
        run.run_app(app.make_app(service), listener, bounds)


def open_scorer(server: ServerFlags, limits: LimitFlags, runtime: RuntimeFlags, policy: Policy | None) -> Scorer:
    """What scores uploads. Raises UsageError and WeightsError."""
    from iqa_cli.gate.policy import DecodingLimits
    from iqa_cli.library import Scorer

    bounds = policy.decoding if policy else DecodingLimits()
    return Scorer(
        server.model or (policy.model if policy else None) or DEFAULT_MODEL,
        backend=runtime.backend,
        device=runtime.device,
        crops=runtime.crops,
        workers=runtime.workers,
        max_pixels=min(limits.max_pixels, bounds.max_pixels or limits.max_pixels),
        timeout=min(limits.timeout, bounds.timeout or limits.timeout),
        **(policy.needs if policy else {}),
    )


def describe_start(address: tuple[str, int], policy: Policy | None) -> list[str]:
    """What to say at the start."""
    host, port = address[:2]
    place = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    lines = [f"listening on {place}; POST /score{', POST /gate' if policy else ''}; docs at {place}/docs; Ctrl-C stops"]
    if not ipaddress.ip_address(host.split("%")[0]).is_loopback:
        lines.append("others can reach it: there is no password and no encryption")
    return lines
