"""The long form of the fault tests: every fault several times, a seed, a table of what happened."""

import argparse
import asyncio
import os
import random
import sys
from collections import defaultdict
from pathlib import Path

from alta_stack.processes import StackError
from faults_plan import rounds
from faults_scenario import Happened, Outcome, Size, prepared
from faults_servers import PrivateServers

FOLDER = Path(__file__).parents[2] / ".alta" / f"test-{os.getpid()}"


def main() -> int:
    """Run; return the exit status."""
    options = _options()
    seed = options.seed or str(random.SystemRandom().randrange(10**9))
    print(f"seed {seed}: {options.events} events, {options.rounds} rounds (again: make faults SEED={seed})", flush=True)
    try:
        servers = PrivateServers(FOLDER / "faults")
    except StackError as error:
        print(error)
        return 2
    try:
        outcome = asyncio.run(_relays(servers, seed, options))
    finally:
        servers.discard()
    return 1 if outcome.verdict.problems else 0


async def _relays(servers: PrivateServers, seed: str, options: argparse.Namespace) -> Outcome:
    size = Size(options.events, aggregates=1000, relays=options.relays, batch=options.batch)
    async with prepared(servers, FOLDER / "logs", seed, size) as scenario:
        outcome = await scenario.run(rounds(seed, options.rounds), _tell)
    _print(outcome, size)
    return outcome


def _tell(happened: Happened) -> None:
    names = " + ".join(happened.step)
    print(f"{happened.at:7.1f} s  {names:<40} {happened.seconds:5.1f} s  after {happened.written} events", flush=True)


def _print(outcome: Outcome, size: Size) -> None:
    taken: dict[str, list[Happened]] = defaultdict(list)
    for happened in outcome.happened:
        taken[" + ".join(happened.step)].append(happened)
    print(f"\n{'struck':<40} {'times':>5} {'longest s':>10} {'copies, most':>13}")
    for step, all_of_it in sorted(taken.items()):
        longest, copies = max(one.seconds for one in all_of_it), max(one.duplicates for one in all_of_it)
        print(f"{step:<40} {len(all_of_it):>5} {longest:>10.1f} {copies:>13}")
    for kind, notes in sorted(outcome.notes.items()):
        print(f"{kind}: " + ", ".join(f"{notes.count(note)} x {note}" for note in dict.fromkeys(notes)))
    verdict = outcome.verdict
    print(f"\nevents {verdict.events}, parked {outcome.parked} of {outcome.poisons} poisoned, {outcome.seconds:.0f} s")
    hit = sum(one.relays_hit for one in outcome.happened)
    print(
        f"copies {verdict.duplicates}, of {verdict.allowed_duplicates} allowed "
        f"({hit} relays hit, a batch is {size.batch})"
    )
    print("PASSED" if not verdict.problems else "FAILED\n" + "\n".join(verdict.problems))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default="", help="of an earlier run, to do the same again")
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3, help="how often each fault strikes")
    parser.add_argument("--relays", type=int, default=2)
    parser.add_argument("--batch", type=int, default=500)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
