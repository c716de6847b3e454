"""Hosts of a network of their own, each a network namespace of Linux, whose links can be broken.

Needs root, and Debian's iproute2 and nftables. All hosts are on one bridge, as is this process, so that a
test outside reaches every one of them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

# Of frames that no host takes.
_NOBODY = "02:00:00:00:00:01"
_DEVICE = "eth0"
_LOSSES = "losses"


class Host:
    """A host; what runs on it shares the files of this machine, not its network.

    Attributes:
        name: of its namespace.
        address: on the network of all hosts.
    """

    def __init__(self, network: Network, number: int) -> None:
        self.name = f"{network.name}h{number}"
        self.address = network.address(number)
        self._network = network
        self._processes: list[subprocess.Popen[bytes]] = []
        self._link = f"{network.name}p{number}"
        self._mac = f"02:00:00:00:01:{number:02x}"
        ip("netns", "add", self.name)
        ip("link", "add", self._link, "type", "veth", "peer", "name", _DEVICE, "netns", self.name)
        ip("link", "set", self._link, "netns", network.name)
        ip("-n", network.name, "link", "set", self._link, "master", "bridge", "up")
        ip("-n", self.name, "link", "set", "lo", "up")
        ip("-n", self.name, "link", "set", _DEVICE, "address", self._mac, "up")
        ip("-n", self.name, "address", "add", f"{self.address}/24", "dev", _DEVICE)

    @property
    def prefix(self) -> list[str]:
        """The command that makes the one after it run on this host."""
        return ["ip", "netns", "exec", self.name]

    def start(self, command: Sequence[str], log: Path) -> None:
        """Start a process on this host, in the folder of its log."""
        with log.open("ab") as output:
            process = subprocess.Popen([*self.prefix, *command], stdout=output, stderr=output, cwd=log.parent)
        self._processes.append(process)

    def kill(self) -> None:
        """Kill all of its processes, as a power failure does."""
        self._signal(signal.SIGKILL)
        while self._processes:
            self._processes.pop().wait()

    def _signal(self, number: signal.Signals) -> None:
        for pid in ip("netns", "pids", self.name).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), number)

    def cut_off(self) -> None:
        """Let nothing pass from or to this host."""
        ip("-n", self._network.name, "link", "set", self._link, "down")

    def mute(self) -> None:
        """Let nothing pass from this host; what others send still arrives."""
        for number, _ in self._network.others(self):
            ip("-n", self.name, "neighbour", "replace", self._network.address(number),
               "lladdr", _NOBODY, "nud", "permanent", "dev", _DEVICE)  # fmt: skip

    def deafen(self) -> None:
        """Let nothing pass to this host; what it sends still arrives."""
        for _, other in self._network.others(self):
            where = ["-n", other.name] if other is not None else []
            device = _DEVICE if other is not None else self._network.outside
            ip(*where, "neighbour", "replace", self.address,
               "lladdr", _NOBODY, "nud", "permanent", "dev", device)  # fmt: skip

    def freeze(self) -> None:
        """Suspend all of its processes: its kernel still takes connections and packets."""
        self._signal(signal.SIGSTOP)

    def lose(self, percent: int) -> None:
        """Lose so many percent of the packets from and to this host."""
        _run(*self.prefix, "nft", "add", "table", "inet", _LOSSES)
        for hook in ("input", "output"):
            chain = f"{{ type filter hook {hook} priority 0; }}"
            _run(*self.prefix, "nft", "add", "chain", "inet", _LOSSES, hook, chain)
            rule = ("oifname" if hook == "output" else "iifname", _DEVICE)
            lost = ("numgen", "random", "mod", "100", "<", str(percent), "drop")
            _run(*self.prefix, "nft", "add", "rule", "inet", _LOSSES, hook, *rule, *lost)

    def slow_down(self, rate: str) -> None:
        """Let it send so much at most, as `512kbit`; more waits for up to two seconds, then it is dropped."""
        shape = ("tbf", "rate", rate, "burst", "16kb", "latency", "2s")
        _run("ip", "netns", "exec", self.name, "tc", "qdisc", "replace", "dev", _DEVICE, "root", *shape)

    def heal(self) -> None:
        """End what was done to its link and processes, except a kill."""
        self._signal(signal.SIGCONT)
        ip("-n", self._network.name, "link", "set", self._link, "up")
        for number, other in self._network.others(self):
            where = ["-n", other.name] if other is not None else []
            device = _DEVICE if other is not None else self._network.outside
            for place, address, link in (
                (["-n", self.name], self._network.address(number), _DEVICE),
                (where, self.address, device),
            ):
                with contextlib.suppress(subprocess.CalledProcessError):
                    ip(*place, "neighbour", "del", address, "dev", link)
        with contextlib.suppress(subprocess.CalledProcessError):
            _run("ip", "netns", "exec", self.name, "tc", "qdisc", "del", "dev", _DEVICE, "root")
        with contextlib.suppress(subprocess.CalledProcessError, FileNotFoundError):
            _run(*self.prefix, "nft", "delete", "table", "inet", _LOSSES)


class Network:
    """A bridge in a namespace, with the link of this process.

    Attributes:
        name: of its namespace.
        hosts: on it.
        outside: the device of this process.
    """

    # The last number of this process's address.
    OUTSIDE = 254

    def __init__(self, hosts: int) -> None:
        number = os.getpid() % 250
        self.name = f"pl{os.getpid()}"
        self.outside = f"{self.name}out"
        self._prefix = f"10.213.{number}"
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "add", "bridge", "type", "bridge")
        ip("-n", self.name, "link", "set", "bridge", "up")
        ip("link", "add", self.outside, "type", "veth", "peer", "name", "out", "netns", self.name)
        ip("-n", self.name, "link", "set", "out", "master", "bridge", "up")
        ip("link", "set", self.outside, "up")
        ip("address", "add", f"{self.address(self.OUTSIDE)}/24", "dev", self.outside)
        self.hosts = [Host(self, number) for number in range(1, hosts + 1)]

    def address(self, number: int) -> str:
        """Return the address of a host by its number; this process has the number `OUTSIDE`."""
        return f"{self._prefix}.{number}"

    def others(self, host: Host) -> list[tuple[int, Host | None]]:
        """Return all but one host with their numbers; None for this process."""
        numbered = [(number, each) for number, each in enumerate(self.hosts, 1) if each is not host]
        return [*numbered, (self.OUTSIDE, None)]

    def close(self) -> None:
        """Kill what still runs, and remove the network."""
        for host in self.hosts:
            host.kill()
            ip("netns", "del", host.name)
        ip("link", "del", self.outside)
        ip("netns", "del", self.name)


@contextlib.contextmanager
def network(hosts: int) -> Iterator[Network]:
    """Make a network of so many hosts; all they run is killed at the end of the block."""
    made = Network(hosts)
    try:
        yield made
    finally:
        made.close()


def unavailable() -> str:
    """Return why there can be no hosts here, empty if there can."""
    if os.geteuid() != 0:
        return "needs root"
    if missing := [tool for tool in ("ip", "tc", "nft") if shutil.which(tool) is None]:
        return f"needs {', '.join(missing)}"
    try:
        ip("netns", "add", f"parley{os.getpid()}try")
        ip("netns", "del", f"parley{os.getpid()}try")
    except subprocess.CalledProcessError as exc:
        return f"no network namespaces: {exc.stderr.strip()}"
    return ""


def ip(*arguments: str) -> str:
    """Run `ip` and return what it prints."""
    return _run("ip", *arguments)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout
