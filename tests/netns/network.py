"""Hosts in network namespaces of their own, joined by a router in another one, or by a bridge.

Every host has a private network to the router, which forwards between them. On a bridge they are in one network, where multicast
reaches all, and nothing is cut. A cut is a routing rule of the router that discards
packets from one address to another without a word (`blackhole`), as a firewall's DROP does: nobody gets an ICMP error or a reset.
So nothing but iproute2 is needed, and nothing exists outside of the namespaces except their names.
"""

import contextlib
import ctypes
import itertools
import os
import shutil
import socket
import subprocess

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
NUMBERS = itertools.count(1)


class NotPossible(Exception):
    """This machine does not let us make namespaces; the text says why."""


def require_namespaces():
    """Raises NotPossible unless a network with a cut can be made here."""
    if not hasattr(LIBC, "setns"):
        raise NotPossible("there are no network namespaces on this system")
    if shutil.which("ip") is None:
        raise NotPossible("`ip` of iproute2 is missing")
    if os.geteuid() != 0:
        raise NotPossible("network namespaces need root")
    try:
        with Network(2) as network:
            network.cut(1, 2)
            with network.entered(1):
                socket.socket().close()
    except (subprocess.CalledProcessError, OSError) as error:
        complaint = getattr(error, "stderr", None) or str(error)
        raise NotPossible(f"network namespaces do not work: {complaint.strip()}") from error


class Network:
    """Hosts 1 to `hosts`, each in its own namespace, that can reach each other until they are cut. Closing it removes all of it."""

    def __init__(self, hosts, is_bridged=False):
        self.prefix = f"onehop-{os.getpid()}-{next(NUMBERS)}"
        self.router = f"{self.prefix}-router"
        self.hosts = range(1, hosts + 1)
        self.is_bridged = is_bridged
        self.places = {host: 0 for host in self.hosts}
        self.made = []
        self.cuts = set()

    def __enter__(self):
        try:
            self._make_namespace(self.router)
            # Nobody answers for an address that no host has, as after a host went away.
            ip("-n", self.router, "route", "add", "blackhole", "default")
            run("ip", "netns", "exec", self.router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
            if self.is_bridged:
                ip("-n", self.router, "link", "add", "bridge", "type", "bridge")
                ip("-n", self.router, "link", "set", "bridge", "up")
            for host in self.hosts:
                self._make_host(host)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Removes the namespaces; the links go with them."""
        while self.made:
            subprocess.run(["ip", "netns", "delete", self.made.pop()], check=False, capture_output=True)

    def namespace(self, host):
        """The name of a host's namespace."""
        return f"{self.prefix}-h{host}"

    def address(self, host):
        """Where the others reach a host at present."""
        return f"10.77.0.{host}" if self.is_bridged else f"10.{77 + self.places[host]}.{host}.2"

    def move(self, host):
        """Gives a host another address in another network; nobody answers for the old one. Cuts of the old address are lifted."""
        self.restore_host(host)
        self.places[host] += 1
        ip("-n", self.namespace(host), "address", "flush", "dev", "net")
        ip("-n", self.router, "address", "flush", "dev", f"h{host}")
        self._give_address(host)

    def cut(self, one, other):
        """Discards all packets between two hosts."""
        self.cut_one_way(one, other)
        self.cut_one_way(other, one)

    def cut_one_way(self, sender, receiver):
        """Discards the packets from one host to another, and not those that come back."""
        rule = (self.address(sender), self.address(receiver))
        if rule not in self.cuts:
            self._rule("add", rule)
            self.cuts.add(rule)

    def unplug(self, host):
        """Cuts a host from all others."""
        for other in self.hosts:
            if other != host:
                self.cut(host, other)

    def shield(self, host, port):
        """Lets nobody open connections to a port of a host, as behind a firewall or an address translation. Lasts."""
        for other in self.hosts:
            if other != host:
                sender, receiver = self.address(other), self.address(host)
                only = ("ipproto", "tcp", "dport", str(port))
                ip("-n", self.router, "rule", "add", "from", sender, "to", receiver, *only, "blackhole")

    def restore(self):
        """Lifts all cuts."""
        self._lift(list(self.cuts))

    def restore_host(self, host):
        """Lifts all cuts of one host."""
        self._lift([rule for rule in self.cuts if self.address(host) in rule])

    @contextlib.contextmanager
    def entered(self, host):
        """Sockets that this thread makes inside are the host's, and stay so."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.namespace(host)}") as there:
            set_namespace(there)
            try:
                yield
            finally:
                set_namespace(home)

    def connect(self, host, port, timeout):
        """A connection inside the host to one of its own ports, which no cut touches."""
        with self.entered(host):
            connection = socket.socket()
        try:
            connection.settimeout(timeout)
            connection.connect(("127.0.0.1", port))
        except BaseException:
            connection.close()
            raise
        return connection

    def _lift(self, rules):
        for rule in rules:
            self._rule("delete", rule)
            self.cuts.remove(rule)

    def _rule(self, action, rule):
        ip("-n", self.router, "rule", action, "from", rule[0], "to", rule[1], "blackhole")

    def _make_namespace(self, name):
        # Noted first, so that an interrupted `add` is undone too.
        self.made.append(name)
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")

    def _make_host(self, host):
        name = self.namespace(host)
        self._make_namespace(name)
        peer = ("peer", "name", f"h{host}", "netns", self.router)
        ip("link", "add", "net", "netns", name, "type", "veth", *peer)
        ip("-n", name, "link", "set", "net", "up")
        ip("-n", self.router, "link", "set", f"h{host}", "up")
        self._give_address(host)

    def _give_address(self, host):
        address = self.address(host)
        if self.is_bridged:
            ip("-n", self.router, "link", "set", f"h{host}", "master", "bridge")
            ip("-n", self.namespace(host), "address", "add", f"{address}/24", "dev", "net")
            return
        gateway = address.rpartition(".")[0] + ".1"
        ip("-n", self.router, "address", "add", f"{gateway}/24", "dev", f"h{host}")
        ip("-n", self.namespace(host), "address", "add", f"{address}/24", "dev", "net")
        ip("-n", self.namespace(host), "route", "add", "default", "via", gateway)


def set_namespace(file):
    """Moves this thread to a network namespace."""
    if LIBC.setns(file.fileno(), CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


def ip(*arguments):
    """Runs iproute2."""
    run("ip", *arguments)


def run(*command):
    """Runs a command that must succeed."""
    subprocess.run(command, check=True, capture_output=True, text=True)
