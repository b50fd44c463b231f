"""What a server used, from the kernel's books: CPU time and memory of it and of everything that it started."""

import os
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
TICKS = os.sysconf("SC_CLK_TCK")


class Meter:
    """Counts one server. The server has to enter it (`enter`, in the child, before exec)."""

    def __init__(self, name):
        self.group, self.read, self.pid, self.resting = None, None, None, 1
        for parent, file, unit in ((CGROUPS / "cpuacct", "cpuacct.usage", 1e9), (CGROUPS, "cpu.stat", 1e6)):
            group = parent / f"causeway-bench-{os.getpid()}-{name}"
            try:
                group.mkdir()
                self.group, self.read = group, lambda group=group, file=file, unit=unit: usage(group / file) / unit
                self.read()
                break
            except (OSError, ValueError):
                self.close()

    @property
    def kind(self):
        return "cgroup" if self.group else "/proc"

    def enter(self):
        if self.group:
            (self.group / "cgroup.procs").write_text(str(os.getpid()))

    def members(self):
        if self.group:
            return [int(pid) for pid in (self.group / "cgroup.procs").read_text().split()]
        return list(tree(self.pid))

    def cpu(self):
        """CPU seconds so far, of ended processes too."""
        if self.group:
            return self.read()
        return sum(cpu_of(pid) for pid in tree(self.pid))

    def settled_cpu(self, patience=5):
        """CPU seconds once the processes of ended sessions are gone and the server is quiet."""
        until, last = time.monotonic() + patience, -1.0
        while time.monotonic() < until:
            now = self.cpu()
            if now - last < 0.0005 and len(self.members()) <= self.resting:
                return now
            last = now
            time.sleep(0.05)
        return self.cpu()

    def settle(self):
        """Takes the processes that there are now as those of a server at rest."""
        self.resting = len(self.members())

    def memory(self):
        """Proportional set size of all its processes, in KiB."""
        total = 0
        for pid in self.members():
            try:
                lines = Path("/proc", str(pid), "smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total

    def close(self):
        if self.group:
            for _ in range(100):
                try:
                    self.group.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.05)
            self.group = None


def usage(file):
    fields = file.read_text().split()
    return int(fields[fields.index("usage_usec") + 1] if "usage_usec" in fields else fields[0])


def stat(pid):
    return Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()


def tree(root):
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(entry)] = int(stat(entry)[1])
        except OSError:
            pass
    members, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in members} - members
        members, grown = members | more, bool(more)
    return members


def cpu_of(pid):
    """Without a cgroup: its own threads to the nanosecond where the kernel counts so, reaped children by ticks."""
    try:
        fields = stat(pid)
        reaped = sum(int(f) for f in fields[13:15]) / TICKS
        try:
            own = sum(
                int((task / "schedstat").read_text().split()[0]) for task in Path("/proc", str(pid), "task").iterdir()
            )
            return own / 1e9 + reaped
        except OSError:
            return sum(int(f) for f in fields[11:13]) / TICKS + reaped
    except OSError:
        return 0.0
