"""The truth: what was on the wire and when, by the kernel's time stamps."""

import bisect
import signal
import struct
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from host import Process, wait_until
from targets import NETWORK

BUFFER_KIB = 131072  # holds a window whole if tcpdump is starved
FLUSH_S = 1.5  # the kernel hands over a part-filled buffer after a second; an end loses it
SNAP_BYTES = 96  # Ethernet, IPv4 and the longest TCP header
NANO_MAGIC = 0xA1B23C4D
ETHERNET = 14
ALERT_MAX = 40  # a TLS close_notify record is at most this long; every reply is longer
SYN, RST, ACK = 0x02, 0x04, 0x10
ECHO_REQUEST, ECHO_REPLY = 8, 0
HAS_PAYLOAD = "(ip[2:2] - ((ip[0] & 0xf) << 2) - ((tcp[12] & 0xf0) >> 2)) != 0"


@dataclass
class Flow:
    """One probe on the wire; times in nanoseconds since 1970."""

    target: str
    start: int
    seq: int = 0
    connected: int | None = None
    asked: int | None = None  # the last payload of the client
    replied: int | None = None  # the last payload of the server that is no alert

    def end(self, kind):
        return self.connected if kind == "tcp" else self.replied

    def latency_s(self, kind):
        end = self.end(kind)
        return None if end is None else (end - self.start) / 1e9

    def target_took_s(self):
        """The target's own share: accepting and answering, without what the prober idled."""
        if self.connected is None:
            return None
        took = self.connected - self.start
        if self.asked is not None:
            if self.replied is None:
                return None
            took += self.replied - self.asked
        return took / 1e9


@dataclass
class Truth:
    """All flows of a capture, each target's in order of their start."""

    kind: str
    dropped: int
    by_target: dict = field(default_factory=lambda: defaultdict(list))

    def starts(self, begin, end):
        """Start times within [begin, end), by target."""
        return {t: [f.start for f in flows if begin <= f.start < end]
                for t, flows in self.by_target.items()}

    def count(self, begin, end):
        return sum(len(s) for s in self.starts(begin, end).values())

    def last_before(self, target, time):
        """The latest flow of the target that began before `time`."""
        flows = self.by_target.get(target, [])
        i = bisect.bisect_left(flows, time, key=lambda f: f.start)
        return flows[i - 1] if i else None


class Capture:
    """tcpdump on lo, for as long as its `with` block lasts; then `truth()`."""

    def __init__(self, folder, kind, port):
        self.kind, self.port = kind, port
        self.file = Path(folder) / "capture.pcap"
        self.said = Path(folder) / "tcpdump.err"
        wanted = ("icmp and (icmp[0] == 8 or icmp[0] == 0)" if kind == "icmp" else
                  f"tcp port {port} and (tcp[tcpflags] & tcp-syn != 0 or {HAS_PAYLOAD})")
        self.tcpdump = Process(
            ["tcpdump", "-i", "lo", "-n", "-Z", "root", "-B", BUFFER_KIB, "-s", SNAP_BYTES,
             "-j", "host", "--time-stamp-precision=nano", "-w", self.file,
             f"net {NETWORK} and ({wanted})"],
            stderr=self.said)
        wait_until("tcpdump listens", lambda: b"listening on" in self.said.read_bytes(),
                   self.tcpdump)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        time.sleep(FLUSH_S)
        self.tcpdump.end(signal.SIGINT)

    def truth(self):
        """Reads the capture; call it after the `with` block."""
        dropped = [int(line.split()[0]) for line in self.said.read_text().splitlines()
                   if line.endswith("dropped by kernel")]
        truth = Truth(self.kind, dropped[0] if dropped else -1)
        flows = (echoes if self.kind == "icmp" else connections)(packets(self.file), self.port)
        for flow in flows:
            truth.by_target[flow.target].append(flow)
        for flows in truth.by_target.values():
            flows.sort(key=lambda f: f.start)
        self.file.unlink()
        return truth


def packets(path):
    """(time in ns, IPv4 packet) of a little-endian nanosecond pcap file."""
    data = path.read_bytes()
    if len(data) < 24 or struct.unpack_from("<I", data)[0] != NANO_MAGIC:
        raise RuntimeError(f"{path} is no nanosecond pcap file of this machine")
    at = 24
    while at + 16 <= len(data):
        seconds, nanos, size, _ = struct.unpack_from("<IIII", data, at)
        yield seconds * 1_000_000_000 + nanos, data[at + 16 + ETHERNET:at + 16 + size]
        at += 16 + size


def dotted(four):
    return ".".join(map(str, four))


def connections(stream, port):
    """TCP flows to `port`: SYN, SYN-ACK and payloads."""
    flows = {}
    done = []
    for at, ip in stream:
        head = (ip[0] & 15) * 4
        source, to, seq = struct.unpack_from("!HHI", ip, head)
        flags = ip[head + 13]
        payload = int.from_bytes(ip[2:4]) - head - (ip[head + 12] >> 4) * 4
        from_client = to == port
        key = (source, ip[16:20]) if from_client else (to, ip[12:16])
        flow = flows.get(key)
        if flags & SYN and from_client:
            if flow is None or flow.seq != seq:  # else: the same SYN again
                flows[key] = flow = Flow(dotted(ip[16:20]), at, seq)
                done.append(flow)
        elif flow is None:
            continue
        elif flags & SYN:
            flow.connected = flow.connected or at
        elif from_client:
            flow.asked = at
        elif payload > ALERT_MAX:
            flow.replied = at
    return done


def echoes(stream, _port):
    """ICMP echo requests and the reply of each."""
    flows = {}
    done = []
    for at, ip in stream:
        head = (ip[0] & 15) * 4
        kind, number = ip[head], ip[head + 4:head + 8]
        if kind == ECHO_REQUEST:
            flow = Flow(dotted(ip[16:20]), at)
            flows[number, ip[16:20]] = flow
            done.append(flow)
        elif kind == ECHO_REPLY:
            flow = flows.pop((number, ip[12:16]), None)
            if flow:
                flow.replied = at
    return done
