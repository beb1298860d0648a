"""What happens to the clusters. A scenario is a function that takes a cluster and the watch time and returns an Outcome.

Its docstring is what `--list` prints. Hosts are numbered from 1.
"""

import time
from dataclasses import dataclass, field
from itertools import combinations

from cluster import ROUTE_PORT

# Long enough for both ends of a cut to notice: two unanswered pings, one second apart, and the tick after.
CUT_SECONDS = 10



@dataclass
class Outcome:
    """Times are in seconds; None is 'not within the watch time'."""

    mesh: float | None
    heal: float | None = None
    heals: bool = True
    sent: int = 0
    lost: int = 0
    # Cut pairs that kept their routes, so that there was nothing to heal.
    held: int = 0
    notes: list = field(default_factory=list)


def chain3_cut(cluster, watch):
    """three joined as a chain 3-2-1; the pair 1-3 is cut for ten seconds"""
    return cut_pair(cluster, watch, cluster.network.cut)


def half_open(cluster, watch):
    """three joined as a chain 3-2-1; only the packets from 1 to 3 are cut for ten seconds"""
    return cut_pair(cluster, watch, cluster.network.cut_one_way)


def chain_at_once(cluster, watch):
    """a chain of servers that start at the same moment"""
    began = time.monotonic()
    hosts = cluster.network.hosts
    for host in hosts:
        cluster.start(host, *[host - 1][: host - 1])
    cluster.attach(*hosts)
    outcome = Outcome(cluster.time_to_mesh(began, watch), heals=False)
    return finish(cluster, outcome, cluster.pairs(), count=50)


def restart(cluster, watch):
    """four joined as a chain 4-3-2-1; 1, which knows nobody, is killed and starts again three seconds later"""
    mesh = form_chain(cluster, watch)
    cluster.kill(1)
    time.sleep(3)
    began = time.monotonic()
    cluster.start(1)
    cluster.attach(1)
    return healed(cluster, watch, mesh, began, pairs_of(cluster, 1))


def restart_moved(cluster, watch):
    """four joined as a chain 4-3-2-1; 2 vanishes without a goodbye and starts again at another address ten seconds later"""
    mesh = form_chain(cluster, watch)
    cluster.network.unplug(2)
    cluster.kill(2)
    time.sleep(CUT_SECONDS)
    cluster.network.move(2)
    began = time.monotonic()
    cluster.start(2, 1)
    cluster.attach(2)
    return healed(cluster, watch, mesh, began, pairs_of(cluster, 2))


def partition(cluster, watch):
    """a chain in two halves that are cut from each other for ten seconds"""
    mesh = form_chain(cluster, watch)
    hosts = list(cluster.network.hosts)
    half = len(hosts) // 2
    across = [(one, other) for one in hosts[:half] for other in hosts[half:]]
    for one, other in across:
        cluster.network.cut(one, other)
    time.sleep(CUT_SECONDS)
    return restored(cluster, watch, mesh, across)


def join_without_seed(cluster, watch):
    """2 and 3 joined through 1, which is then unplugged; 4 joins through 2; 1 comes back ten seconds later"""
    cluster.start_chain([1, 2])
    cluster.start(3, 1)
    cluster.attach(3)
    cluster.time_to_mesh(time.monotonic(), watch)
    cluster.network.unplug(1)
    began = time.monotonic()
    seed = cluster.clients.pop(1)
    cluster.start(4, 2)
    cluster.attach(4)
    mesh = cluster.time_to_mesh(began, watch)
    time.sleep(max(0, began + CUT_SECONDS - time.monotonic()))
    cluster.clients[1] = seed
    cluster.network.restore()
    return healed(cluster, watch, mesh, time.monotonic(), pairs_of(cluster, 1))


def shielded(cluster, watch):
    """two that know each other; 1, which nobody can dial, joins through 2"""
    cluster.network.shield(1, ROUTE_PORT)
    cluster.start_chain([3, 2])
    cluster.time_to_mesh(time.monotonic(), watch)
    began = time.monotonic()
    cluster.start(1, 2)
    cluster.attach(1)
    outcome = Outcome(cluster.time_to_mesh(began, watch), heals=False)
    return finish(cluster, outcome, cluster.pairs())


def one_network(cluster, watch):
    """servers of one local network that know nothing but the name of their cluster start at the same moment"""
    began = time.monotonic()
    for host in cluster.network.hosts:
        cluster.start(host, discovery="discovery { mdns: true }")
    cluster.attach(*cluster.network.hosts)
    outcome = Outcome(cluster.time_to_mesh(began, watch), heals=False)
    return finish(cluster, outcome, cluster.pairs(), count=100)


def lasting_cut(cluster, watch):
    """three joined as a chain 3-2-1; the pair 1-3 is cut for ever"""
    mesh = form_chain(cluster, watch)
    cluster.network.cut(1, 3)
    began = time.monotonic()
    # Until the cut is noticed messages are on their way that will never arrive.
    wait_until_cut(cluster, watch)
    return healed(cluster, watch, mesh, began, [(1, 3), (3, 1)])


def behind_routers(cluster, watch):
    """nobody can dial any but 1, which all others dial"""
    hosts = list(cluster.network.hosts)
    for host in hosts[1:]:
        cluster.network.shield(host, ROUTE_PORT)
    began = time.monotonic()
    for host in hosts:
        cluster.start(host, *hosts[:1][: host - 1])
    cluster.attach(*hosts)
    outcome = Outcome(cluster.time_to_mesh(began, watch), heals=False)
    return finish(cluster, outcome, cluster.pairs(), count=100)


def wait_until_cut(cluster, watch):
    """Waits until a pair is apart."""
    until = time.monotonic() + watch
    while not cluster.missing_pairs() and time.monotonic() < until:
        pass


def cut_pair(cluster, watch, cut):
    """Cuts the pair of a chain of three that no configuration names."""
    mesh = form_chain(cluster, watch)
    cut(1, 3)
    time.sleep(CUT_SECONDS)
    return restored(cluster, watch, mesh, [(1, 3)])


def form_chain(cluster, watch):
    """Starts all servers as a chain, one after another: seconds from the start of the last until the full mesh."""
    return cluster.time_to_mesh(cluster.start_chain(cluster.network.hosts), watch)


def restored(cluster, watch, mesh, cut):
    """Lifts the cut of these pairs and watches the mesh come back."""
    # What goes through a third meanwhile is no route of theirs that was kept.
    held = sum(cluster.listed(cut, direct=True).values())
    cluster.network.restore()
    both_ways = cut + [(other, one) for one, other in cut]
    outcome = healed(cluster, watch, mesh, time.monotonic(), both_ways)
    outcome.held = held
    if held:
        outcome.notes.append(f"{held} of {len(cut)} cut pairs kept their routes")
    return outcome


def healed(cluster, watch, mesh, began, pairs):
    """Watches the mesh come back, then counts what is lost between the pairs that were apart."""
    return finish(cluster, Outcome(mesh, cluster.time_to_mesh(began, watch)), pairs)


def finish(cluster, outcome, pairs, count=500):
    """Publishes numbered messages and notes what is odd."""
    outcome.sent, outcome.lost = cluster.lost(pairs, count)
    apart = [pair for pair in cluster.missing_pairs() if pair[0] < pair[1]]
    if apart:
        shown = " ".join(f"{one}-{other}" for one, other in apart[:6])
        outcome.notes.append(f"{len(apart)} pairs apart: {shown}" + (" ..." if len(apart) > 6 else ""))
    listed = cluster.listed(combinations(sorted(cluster.clients), 2))
    if not apart and not all(listed.values()):
        outcome.notes.append(f"{list(listed.values()).count(False)} pairs not in /routez")
    twice = cluster.duplicates_delivered()
    if twice:
        outcome.notes.append(f"{twice} messages delivered twice")
    return outcome


def pairs_of(cluster, host):
    """The ordered pairs that a host is part of."""
    return [pair for pair in cluster.pairs() if host in pair]


@dataclass(frozen=True)
class Scenario:
    """What to run, with how many hosts, and which mixtures of servers besides 'all the same'."""

    run: object
    nodes: int
    mixtures: tuple = ("mixed",)
    resizable: bool = False
    # Whether the hosts are in one network.
    is_bridged: bool = False
    # Whether it is for what only onehop can do.
    is_for_onehop: bool = False


THREE = ("onehop in the middle", "onehop at one end")
SCENARIOS = {
    "chain3-cut": Scenario(chain3_cut, 3, THREE),
    "chain-at-once": Scenario(chain_at_once, 12, ("mixed", "one onehop"), resizable=True),
    "half-open": Scenario(half_open, 3, THREE),
    "restart": Scenario(restart, 4),
    "restart-moved": Scenario(restart_moved, 4),
    "partition": Scenario(partition, 6, ("mixed", "one onehop"), resizable=True),
    "join-without-seed": Scenario(join_without_seed, 4),
    "shielded": Scenario(shielded, 3, ("onehop at one end",)),
    "one-network": Scenario(one_network, 5, (), resizable=True, is_bridged=True, is_for_onehop=True),
    "lasting-cut": Scenario(lasting_cut, 3, ("onehop in the middle",), is_for_onehop=True),
    "behind-routers": Scenario(behind_routers, 5, (), resizable=True, is_for_onehop=True),
}
