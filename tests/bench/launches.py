"""Launches and the landing page, in one gunicorn worker with threads, with AWS in another process."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any
from urllib.request import Request, urlopen

import boto3
import psutil
from botocore.config import Config

from portal.demo.services import free_port
from tests.bench.load import Answers, put_load, request
from tests.bench.processes import THREADS, portal, process, until_open
from tests.bench.tables import ms, table, times, verdict
from tests.bench.world import Person, make_people, make_ready

LATENCY_MS = 100
ROUNDS = 3
SECONDS = 3.0


class Aws:
    """The stand-in for AWS in a process of its own."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def latency(self, milliseconds: float) -> None:
        """Have every call take at least so long."""
        body = json.dumps({"slow": milliseconds / 1000}).encode()
        with urlopen(Request(f"{self.url}/_personality", body, {"Content-Type": "application/json"})):
            pass

    def calls(self) -> list[str]:
        """Return the operations so far, at most the last 200."""
        with urlopen(f"{self.url}/_calls") as answer:
            return [call["operation"] for call in json.load(answer)]


def measure() -> None:
    """Print the tables."""
    with _aws() as aws:
        os.environ["AWS_ENDPOINT_URL"] = aws.url
        people = make_people(THREADS)
        before = len(aws.calls())
        make_ready(people[:1])
        first = aws.calls()[before:]
        with portal() as (port, worker):
            ready = _calls_of_a_launch(aws, port, people[0])
            make_ready(people[1:])
            _warm(port, people)
            _print(aws, port, worker, people, first, ready)


def _calls_of_a_launch(aws: Aws, port: int, person: Person) -> float:
    before = len(aws.calls())
    message = request("POST", "/teams/studio/open/", person.headers)
    for _ in range(10):
        put_load(port, [message], seconds=0)
    return (len(aws.calls()) - before) / 10


def _print(aws: Aws, port: int, worker: psutil.Process, people: list[Person], first: list[str], ready: float) -> None:
    launches = [request("POST", "/teams/studio/open/", person.headers) for person in people]
    floor_cpu: list[float] = []
    cpu: list[float] = []
    for _ in range(ROUNDS):
        floor_cpu.append(_floor(aws, 200)[0])
        cpu.append(_load(port, worker, launches[:8])[1])
    pages = [request("GET", "/", person.headers) for person in people[:8]]
    page_rounds = [_load(port, worker, pages, status=200) for _ in range(ROUNDS)]
    aws.latency(LATENCY_MS)
    floor_time = _floor(aws, 20)[1]
    alone = put_load(port, launches[:1], seconds=SECONDS)
    crowds = [_load(port, worker, launches) for _ in range(ROUNDS)]
    rate, crowd = max((answers.rate, answers.middle) for answers, _ in crowds)
    launch, floor = median(cpu), median(floor_cpu)
    own = median(mine - least for mine, least in zip(cpu, floor_cpu, strict=True))
    page = median(used for _, used in page_rounds)
    over = alone.middle - LATENCY_MS
    count = len(first) + 1
    rows: list[tuple[str, str, str, str]] = [
        ("CPU of one cached boto3 call (the floor)", f"{ms(floor)} ms", "", ""),
        ("CPU of a launch, everything", f"{ms(launch)} ms, {times(launch / floor)} the floor", "", ""),
        ("… session, authorisation, audit, HTTP", f"{ms(own)} ms", "≤ 1.5 ms", verdict(own <= 1.5)),
        (f"time over {LATENCY_MS} ms of AWS, alone", f"{ms(over)} ms", "≤ 6 ms", verdict(over <= 6)),
        ("… the floor's own", f"{ms(floor_time - LATENCY_MS)} ms", "", ""),
        (f"launches/s, {THREADS} at once, best round", f"{rate:.0f}", "≥ 480", verdict(rate >= 480)),
        ("… their median time", f"{ms(crowd)} ms", "", ""),
        ("AWS calls of a ready launch", f"{ready:.2f}", "1", verdict(ready == 1)),
        ("AWS calls of a first launch", f"{count}", "≤ 5", verdict(count <= 5)),
    ]
    table(
        "Launch of a profile that is ready: one gunicorn worker with threads",
        ["launch", "measured", "target", ""],
        rows,
    )
    table(
        "Landing page, four teams, the same worker, 8 connections",
        ["page", "CPU ms", "requests/s of one core", "requests/s seen"],
        [["landing page", ms(page), f"{1000 / page:.0f}", f"{median(each.rate for each, _ in page_rounds):.0f}"]],
    )


def _load(port: int, worker: psutil.Process, requests: list[bytes], status: int = 303) -> tuple[Answers, float]:
    """Return the answers and the processor's milliseconds per request."""
    before = worker.cpu_times()
    answers = put_load(port, requests, seconds=SECONDS)
    after = worker.cpu_times()
    if set(answers.statuses) != {status}:
        raise RuntimeError(f"answers other than {status}: {answers.statuses}")
    used = after.user + after.system - before.user - before.system
    return answers, used * 1000 / (len(answers.milliseconds) + len(requests))


def _warm(port: int, people: list[Person]) -> None:
    put_load(port, [request("POST", "/teams/studio/open/", person.headers) for person in people], seconds=1)
    put_load(port, [request("GET", "/", person.headers) for person in people], seconds=0.5)


def _floor(aws: Aws, calls: int) -> tuple[float, float]:
    """Return the processor's milliseconds and the median time of a call with a plain, cached client."""
    client: Any = boto3.client(
        "sagemaker", region_name="eu-west-1", endpoint_url=aws.url, config=Config(retries={"total_max_attempts": 1})
    )
    took: list[float] = []
    used = 0.0
    for number in range(calls + 5):
        begun, cpu = time.perf_counter(), time.process_time()
        client.create_presigned_domain_url(DomainId="d-demo0studio1", UserProfileName=_some_profile())
        if number >= 5:
            took.append((time.perf_counter() - begun) * 1000)
            used += time.process_time() - cpu
    return used * 1000 / calls, median(took)


def _some_profile() -> str:
    return os.environ["BENCH_PROFILE"]


@contextmanager
def _aws() -> Iterator[Aws]:
    port = free_port()
    with process("-m", "portal.demo.aws", "--port", str(port), "--create-delay", "0") as started:
        until_open(started, port)
        yield Aws(port)
