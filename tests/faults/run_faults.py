"""The long form of the fault tests: every fault several times, a seed, a table of what happened."""

import argparse
import asyncio
import logging
import os
import random
import shutil
import sys
import warnings
from pathlib import Path

import structlog

from alta_stack.processes import StackError
from faults_consumers import prepared_consumers
from faults_messages import AT_ONCE, POISON
from faults_plan import STRUCK_AT_A_BACKLOG, consumer_rounds, refusals, rounds, shuffled
from faults_report import print_table, tell
from faults_scenario import Outcome, Size, prepared
from faults_servers import PrivateServers

FOLDER = Path(__file__).parents[2] / ".alta" / f"test-{os.getpid()}"


def main() -> int:
    """Run; return the exit status."""
    options = _options()
    # That connections are lost here is no news, and a library says it in a warning of Python's too.
    warnings.simplefilter("ignore", RuntimeWarning)
    logging.basicConfig(level=logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    seed = options.seed or str(random.SystemRandom().randrange(10**9))
    size = f"{options.events} events, {options.rounds} rounds" if not options.backlog else f"{options.backlog} at once"
    print(f"seed {seed}: {size} (again: make faults SEED={seed})", flush=True)
    try:
        servers = PrivateServers(FOLDER / "faults")
    except StackError as error:
        print(error)
        return 2
    try:
        problems: list[str] = []
        if options.backlog:
            problems += asyncio.run(_backlog(servers, seed, options))
        elif options.only != "consumers":
            problems += asyncio.run(_relays(servers, seed, options))
            problems += asyncio.run(_refusals(servers, seed, options))
        if options.only != "relays" and not options.backlog:
            for partitions in (0, 8):
                problems += asyncio.run(_consumers(servers, seed, options, partitions))
    finally:
        servers.discard()
    if problems:
        print("\n".join(["", f"FAILED with seed {seed}; what the processes logged is in {FOLDER}", *problems]))
        return 1
    shutil.rmtree(FOLDER, ignore_errors=True)
    print(f"\nPASSED with seed {seed}")
    return 0


async def _relays(servers: PrivateServers, seed: str, options: argparse.Namespace) -> list[str]:
    print("\n== relays")
    size = Size(options.events, aggregates=1000, relays=options.relays, batch=options.batch)
    async with prepared(servers, FOLDER / "logs", seed, size) as scenario:
        return _reported(await scenario.run(rounds(seed, options.rounds), tell), size)


async def _backlog(servers: PrivateServers, seed: str, options: argparse.Namespace) -> list[str]:
    print(f"\n== relays with a backlog of {options.backlog} events")
    size = Size(0, aggregates=5000, relays=options.relays, batch=options.batch)
    async with prepared(servers, FOLDER / "logs-of-backlog", seed, size) as scenario:
        return _reported(await scenario.drain(options.backlog, shuffled(seed, STRUCK_AT_A_BACKLOG), tell), size)


async def _refusals(servers: PrivateServers, seed: str, options: argparse.Namespace) -> list[str]:
    print("\n== relays whose events are refused")
    size = Size(options.events // 6, relays=options.relays, batch=options.batch)
    again_and_again = {"OUTBOX_MAX_RETRIES": "100"}
    async with prepared(servers, FOLDER / "logs-of-refusals", seed, size, **again_and_again) as scenario:
        return _reported(await scenario.run(refusals(seed, 3 * options.rounds), tell), size)


def _reported(outcome: Outcome, size: Size) -> list[str]:
    """Print a scenario of relays; return what is wrong."""
    verdict, hit = outcome.verdict, sum(one.relays_hit for one in outcome.happened)
    print_table(outcome.happened, outcome.notes)
    print(f"\nevents {verdict.events}, parked {outcome.parked} of {outcome.poisons} poisoned, {outcome.seconds:.0f} s")
    allowed = f"{verdict.allowed_duplicates} allowed ({hit} relays hit, a batch is {size.batch})"
    print(f"copies {verdict.duplicates}, {allowed}")
    return verdict.problems


async def _consumers(servers: PrivateServers, seed: str, options: argparse.Namespace, partitions: int) -> list[str]:
    print("\n== consumers" + (f" that keep order, over {partitions} partitions" if partitions else ""))
    folder = FOLDER / f"logs-of-consumers-{partitions}"
    # One that fails for ever would hold up its partition, by design.
    poison = AT_ONCE if partitions else list(POISON)
    async with prepared_consumers(servers, folder, seed, poison, partitions) as scenario:
        problems = await scenario.run(consumer_rounds(seed, options.rounds), options.messages, tell)
    print_table(scenario.happened, scenario.strikes.notes)
    published, dead = len(scenario.publisher.published), len(scenario.dead)
    print(f"\nmessages {published}, each with its effect; {dead} dead of {len(scenario.publisher.poison)} poisoned")
    return problems


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default="", help="of an earlier run, to do the same again")
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--messages", type=int, default=8_000, help="for consumers, and as many for ordered ones")
    parser.add_argument("--rounds", type=int, default=3, help="how often each fault strikes")
    parser.add_argument("--relays", type=int, default=2)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument(
        "--backlog",
        type=int,
        default=0,
        help="instead of all else: so many events lie there at once, and are struck at",
    )
    parser.add_argument("--only", choices=["relays", "consumers"])
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
