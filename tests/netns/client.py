"""A NATS client that is just enough to see who hears whom."""

import threading
import time


class Client:
    """One connection, subscribed to `to.<name>.>`. A thread reads, answers PING and keeps the payloads by the sender's name."""

    def __init__(self, connection, name):
        self.name = name
        self.connection = connection
        self.heard = {}
        self.lock = threading.Lock()
        self.pong = threading.Event()
        connection.settimeout(None)
        self._send(f'CONNECT {{"verbose":false,"pedantic":false,"name":"{name}"}}\r\nSUB to.{name}.> 1\r\nPING\r\n')
        threading.Thread(target=self._read, daemon=True).start()
        if not self.pong.wait(10):
            raise TimeoutError(f"{name} did not answer a client's PING")

    def publish(self, receiver, payloads):
        """Sends texts to another client, in one write. A connection that has ended is the server's loss, and so not an error."""
        lines = (f"PUB to.{receiver}.{self.name} {len(text)}\r\n{text}\r\n" for text in payloads)
        try:
            self._send("".join(lines))
        except OSError:
            pass

    def count(self, sender, payloads):
        """How many of these texts came from that client. Twice is once; `duplicates` counts those."""
        with self.lock:
            heard = self.heard.get(sender, {})
            return sum(text in heard for text in payloads)

    def duplicates(self):
        """How many messages came more than once."""
        with self.lock:
            return sum(times - 1 for heard in self.heard.values() for times in heard.values())

    def close(self):
        """Ends the connection."""
        self.connection.close()

    def _send(self, text):
        with self.lock:
            self.connection.sendall(text.encode())

    def _read(self):
        try:
            with self.connection.makefile("rb") as lines:
                for line in lines:
                    self._take(line, lines)
        except (OSError, ValueError):
            pass

    def _take(self, line, lines):
        words = line.decode().split()
        if words[0] == "PING":
            self._send("PONG\r\n")
        elif words[0] == "PONG":
            self.pong.set()
        elif words[0] == "MSG":
            text = lines.read(int(words[-1]) + 2)[:-2].decode()
            sender = words[1].rpartition(".")[2]
            with self.lock:
                heard = self.heard.setdefault(sender, {})
                heard[text] = heard.get(text, 0) + 1


def wait_for(condition, timeout, pause=0.02):
    """Whether the condition holds before the timeout, in seconds, is over."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True
