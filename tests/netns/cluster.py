"""A cluster: one server and one client in every host of a network."""

import json
import subprocess
import time
from pathlib import Path

from client import Client, wait_for

CLIENT_PORT, ROUTE_PORT, MONITOR_PORT = 4222, 6222, 8222
CONFIG = """\
server_name: "h{host}"
listen: "0.0.0.0:{client}"
http: "127.0.0.1:{monitor}"
cluster {{
  name: "netns"
  listen: "0.0.0.0:{route}"
  routes: [{routes}]
  ping_interval: "1s"
  ping_max: 2
}}
{discovery}
"""
# A pair that is slower than this to deliver a message does not count as connected, in seconds.
PROBE_WAIT = 0.25
# So many rounds of probes in a row must arrive everywhere, so that a mesh that is still changing is not taken for one.
STEADY_ROUNDS = 4


class Cluster:
    """Server processes by host; `programs` maps each host to the binary that runs there. Closing it kills them."""

    def __init__(self, network, programs, folder):
        self.network = network
        self.programs = programs
        self.folder = Path(folder)
        self.processes = {}
        self.clients = {}
        self.rounds = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for host in list(self.processes):
            self.kill(host)

    def start(self, host, *seeds, discovery=""):
        """Starts the server of a host with routes to the present addresses of the seeds. The client follows in `attach`.

        `discovery` stands in the file as it is.
        """
        routes = ", ".join(f'"nats://{self.network.address(seed)}:{ROUTE_PORT}"' for seed in seeds)
        config = self.folder / f"h{host}.conf"
        ports = {"client": CLIENT_PORT, "route": ROUTE_PORT, "monitor": MONITOR_PORT}
        config.write_text(CONFIG.format(host=host, routes=routes, discovery=discovery, **ports))
        inside = ["ip", "netns", "exec", self.network.namespace(host)]
        with open(self._log(host), "ab") as log:
            self.processes[host] = subprocess.Popen(
                [*inside, self.programs[host], "-c", str(config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )

    def start_chain(self, hosts):
        """Starts the hosts in order, each with a route to the one before it only, and waits for each. When the last one started."""
        before, began = [], time.monotonic()
        for host in hosts:
            began = time.monotonic()
            self.start(host, *before)
            self.attach(host)
            before = [host]
        return began

    def attach(self, *hosts):
        """Connects the clients of servers that were started."""
        for host in hosts:
            if not wait_for(lambda: self._attached(host), 15):
                log = self._log(host).read_text(errors="replace")
                raise TimeoutError(f"the server of host {host} takes no client:\n{log}")

    def kill(self, host):
        """Ends a server as a crash does."""
        client = self.clients.pop(host, None)
        if client is not None:
            client.close()
        process = self.processes.pop(host)
        process.kill()
        process.wait()

    def pairs(self):
        """All ordered pairs of hosts whose servers run."""
        return [(one, other) for one in self.clients for other in self.clients if one != other]

    def missing_pairs(self):
        """The ordered pairs where a message does not arrive at present. One hop is all a message makes: these have no route."""
        self.rounds += 1
        probe = [f"probe {self.rounds}"]
        pairs = self.pairs()
        for sender, receiver in pairs:
            self.clients[sender].publish(f"h{receiver}", probe)
        missing = list(pairs)

        def all_arrived():
            missing[:] = [pair for pair in missing if not self._arrived(pair, probe)]
            return not missing

        wait_for(all_arrived, PROBE_WAIT)
        return missing

    def time_to_mesh(self, since, watch):
        """Seconds from `since` until messages arrive between all pairs and continue to, or None if not within `watch`."""
        steady, first = 0, None
        while True:
            began = time.monotonic()
            if self.missing_pairs():
                steady = 0
            else:
                first = time.monotonic() if steady == 0 else first
                steady += 1
            if steady == STEADY_ROUNDS:
                return first - since
            if began - since > watch and steady == 0:
                return None
            time.sleep(max(0, began + PROBE_WAIT - time.monotonic()))

    def lost(self, pairs, count=500):
        """Publishes numbered messages over each pair: how many were sent, and how many never arrived."""
        texts = [f"message {self.rounds} {number}" for number in range(count)]
        for sender, receiver in pairs:
            self.clients[sender].publish(f"h{receiver}", texts)

        def missing():
            return sum(count - self.clients[to].count(f"h{sender}", texts) for sender, to in pairs)

        wait_for(lambda: missing() == 0, 5)
        return count * len(pairs), missing()

    def duplicates_delivered(self):
        """How many messages arrived twice."""
        return sum(client.duplicates() for client in self.clients.values())

    def listed(self, pairs, direct=False):
        """Whether /routez of either host lists the other, with a direct route if asked so, by pair.

        Pairs where neither host has an answer are left out.
        """
        names = {host: self._routes(host, direct) for host in self.clients}
        answers = {}
        for one, other in pairs:
            lists = [(names[one], other), (names[other], one)]
            known = [f"h{peer}" in found for found, peer in lists if found is not None]
            if known:
                answers[one, other] = any(known)
        return answers

    def logged(self, text):
        """How many lines of all logs contain a text."""
        logs = [log.read_text(errors="replace") for log in sorted(self.folder.glob("*.log"))]
        return sum(text in line for log in logs for line in log.splitlines())

    def _routes(self, host, direct):
        """The names of the servers that /routez of a host lists, or None without an answer."""
        request = b"GET /routez HTTP/1.0\r\nHost: localhost\r\n\r\n"
        try:
            with self.network.connect(host, MONITOR_PORT, 2) as connection:
                connection.sendall(request)
                with connection.makefile("rb") as answer:
                    body = answer.read().partition(b"\r\n\r\n")[2]
            routes = json.loads(body)["routes"] or []
            return {route["remote_name"] for route in routes if not (direct and "onehop_relay" in route)}
        except (OSError, ValueError, KeyError):
            return None

    def _arrived(self, pair, texts):
        sender, receiver = pair
        return self.clients[receiver].count(f"h{sender}", texts) == len(texts)

    def _attached(self, host):
        try:
            connection = self.network.connect(host, CLIENT_PORT, 2)
        except OSError:
            return False
        self.clients[host] = Client(connection, f"h{host}")
        return True

    def _log(self, host):
        return self.folder / f"h{host}.log"
