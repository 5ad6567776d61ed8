"""Processes of ours, and what the kernel says of them."""

import os
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

END_S = 10  # a process that outlives SIGTERM by this much is killed


class Process:
    """A child that ends, by its id, when its `with` block ends."""

    def __init__(self, args, stdout=None, stderr=None, env=None, stdin=None):
        self.out = open(stdout, "wb") if stdout else subprocess.DEVNULL
        self.err = open(stderr, "wb") if stderr else subprocess.DEVNULL
        self.stderr_path = stderr
        self.args = args
        self.child = subprocess.Popen(
            [str(a) for a in args],
            stdin=open(stdin, "rb") if stdin else subprocess.DEVNULL,
            stdout=self.out,
            stderr=self.err,
            env={**os.environ, **(env or {})},
        )
        self.pid = self.child.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self, how=signal.SIGTERM):
        """Asks the process to end and waits until it has."""
        if self.child.poll() is None:
            self.child.send_signal(how)
            try:
                self.child.wait(END_S)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        for file in (self.out, self.err):
            if file is not subprocess.DEVNULL:
                file.close()

    def check_alive(self):
        """Fails with what the process said when it has ended by itself."""
        if self.child.poll() is not None:
            said = Path(self.stderr_path).read_text()[-2000:] if self.stderr_path else ""
            raise RuntimeError(f"{self.args[0]} ended with {self.child.returncode}: {said}")

    def cpu_s(self):
        """User and system time of all its threads, dead ones too: the process's CPU clock."""
        return time.clock_gettime((~self.pid << 3) | 2)  # clock_getcpuclockid(3), CPUCLOCK_SCHED

    def memory_bytes(self, field="VmRSS"):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"no {field} of {self.args[0]}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(what, ready, process, seconds=10):
    """Waits for `ready()`, and says what did not come about."""
    until = time.monotonic() + seconds
    while not ready():
        process.check_alive()
        if time.monotonic() > until:
            raise RuntimeError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def raise_file_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
