#!/usr/bin/env python3
"""Runs clusters of real servers in network namespaces, cuts and restores their network, and prints whether the mesh heals.

Exit codes: 0 all clusters of onehop alone, and those named by --must-heal, meshed and healed without loss; 1 one of them did not;
2 wrong usage; 77 NOT RUN.
"""

import argparse
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from cluster import Cluster
from network import Network, NotPossible, require_namespaces
from scenarios import SCENARIOS

# The servers of each kind of cluster: whether host number `host` of `nodes` runs onehop.
MIXTURES = {
    "all onehop": lambda host, nodes: True,
    "all Go": lambda host, nodes: False,
    "mixed": lambda host, nodes: host % 2 == 0,
    "one onehop": lambda host, nodes: host == nodes // 2,
    "onehop in the middle": lambda host, nodes: host == 2,
    "onehop at one end": lambda host, nodes: host == 1,
}
HEADER = ("scenario", "servers", "meshed", "time to mesh", "healed", "time to heal", "lost", "duplicate routes", "notes")
NOT_RUN = 77


def main():
    options = parse_arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        require_namespaces()
        failed = report(options, planned_runs(options))
    except NotPossible as reason:
        print(f"NOT RUN: {reason}")
        return NOT_RUN
    except KeyboardInterrupt:
        return 130
    return 1 if failed else 0


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onehop", metavar="PATH", help="the onehop binary")
    parser.add_argument("--nats-server", metavar="PATH", help="a Go server, 2.10 or newer")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="may be given more than once; default: all")
    parser.add_argument("--servers", action="append", choices=MIXTURES, help="may be given more than once; default: all")
    parser.add_argument("--must-heal", action="append", choices=MIXTURES, default=[], help="fail if these do not heal")
    parser.add_argument("--nodes", type=int, help="hosts of scenarios that have a choice")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; the table shows the median time")
    parser.add_argument("--watch", type=float, default=60, metavar="SECONDS", help="how long to wait for a mesh (default 60)")
    parser.add_argument("--logs", metavar="FOLDER", help="keep the configurations and logs of the servers there")
    parser.add_argument("--list", action="store_true", help="say what the scenarios are")
    options = parser.parse_args()
    if options.list:
        for name, scenario in SCENARIOS.items():
            print(f"{name:18} {scenario.run.__doc__}")
        sys.exit(0)
    if not (options.onehop or options.nats_server):
        parser.error("give --onehop, --nats-server or both")
    if options.repeat < 1 or not 2 <= (options.nodes or 2) <= 200:
        parser.error("--repeat is at least 1, and --nodes 2 to 200")
    for binary in (options.onehop, options.nats_server):
        if binary and shutil.which(binary) is None:
            parser.error(f"{binary} is not a program")
    if not planned_runs(options):
        parser.error("no chosen scenario can be run with these binaries")
    return options


def planned_runs(options):
    """The (scenario, servers) to run with the binaries that were given."""
    runs = []
    for name in options.scenario or SCENARIOS:
        scenario = SCENARIOS[name]
        alike = ("all onehop",) if scenario.is_for_onehop else ("all Go", "all onehop")
        for servers in (*alike, *scenario.mixtures):
            wanted = not options.servers or servers in options.servers
            if wanted and None not in programs(options, servers, nodes_of(options, scenario)).values():
                runs.append((name, servers))
    return runs


def nodes_of(options, scenario):
    """How many hosts a scenario has."""
    return options.nodes if options.nodes and scenario.resizable else scenario.nodes


def programs(options, servers, nodes):
    """Host to binary."""
    is_onehop = MIXTURES[servers]
    return {host: options.onehop if is_onehop(host, nodes) else options.nats_server for host in range(1, nodes + 1)}


def report(options, runs):
    """Runs all, prints a line each and returns those that had to heal and did not."""
    print(row(HEADER))
    print(row(["---"] * len(HEADER)), flush=True)
    failed = []
    for name, servers in runs:
        outcomes = [run_once(options, name, servers, number) for number in range(options.repeat)]
        print(row((name, servers, *summary(outcomes))), flush=True)
        if servers in ("all onehop", *options.must_heal) and not all(is_whole(outcome) for outcome, _ in outcomes):
            failed.append((name, servers))
    for name, servers in failed:
        print(f"FAILED: {name} with {servers}")
    return failed


def run_once(options, name, servers, number):
    """One outcome and how many duplicate routes were closed."""
    scenario = SCENARIOS[name]
    nodes = nodes_of(options, scenario)
    with tempfile.TemporaryDirectory(prefix="onehop-netns-") as scratch:
        folder = Path(scratch)
        if options.logs:
            folder = Path(options.logs) / f"{name}-{servers}-{number + 1}".replace(" ", "-")
            folder.mkdir(parents=True)
        with Network(nodes, scenario.is_bridged) as network, Cluster(network, programs(options, servers, nodes), folder) as cluster:
            outcome = scenario.run(cluster, options.watch)
            time.sleep(0.1)
            return outcome, cluster.logged("Duplicate Route")


def is_whole(outcome):
    """Whether the mesh formed, was really apart where it was cut, healed and lost nothing."""
    healed = outcome.heal is not None or not outcome.heals
    return outcome.mesh is not None and healed and outcome.held == 0 and outcome.lost == 0


def summary(outcomes):
    """The columns of the table for several runs of the same."""
    results = [outcome for outcome, _ in outcomes]
    heals = [outcome for outcome in results if outcome.heals]
    sent, lost = sum(outcome.sent for outcome in results), sum(outcome.lost for outcome in results)
    duplicates = [closed for _, closed in outcomes]
    notes = dict.fromkeys(note for outcome in results for note in outcome.notes)
    return (
        *verdict([outcome.mesh for outcome in results]),
        *(verdict([outcome.heal for outcome in heals]) if heals else ("", "")),
        f"{lost} of {sent}",
        f"{statistics.median(duplicates):g}",
        "; ".join(notes),
    )


def verdict(times):
    """`yes`, `no` or how many of how many; and the median time."""
    reached = [time for time in times if time is not None]
    words = {0: "no", len(times): "yes"}
    answer = words.get(len(reached), f"{len(reached)} of {len(times)}")
    return answer, f"{statistics.median(reached):.1f} s" if reached else ""


def row(columns):
    """A line of a Markdown table."""
    return "| " + " | ".join(columns) + " |"


if __name__ == "__main__":
    sys.exit(main())
