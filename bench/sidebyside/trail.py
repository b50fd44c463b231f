"""What events and the audit trail cost an upload of small files: causeway as it is; with a webhook to a receiver that answers at once, too;
and a build that writes no audit entry and queues no event (the feature `bench-without-trail`), which all are compared with."""

from . import https, peers, steps
from .events import Receiver, webhooks

BASE = "without-trail"
# The build without a trail serves nobody that does not know what it is.
WORD = ["env", "CAUSEWAY_BENCH_WITHOUT_TRAIL=yes"]


class Kind:
    """The gateways over one protocol, as `bench/run` takes them."""

    def __init__(self, kind, all_steps):
        self.kind, self.receivers = kind, []
        self.PEERS = dict.fromkeys(("causeway", "before", "webhook", BASE))
        self.STEPS = [step for step in all_steps if "2,000 of 4 KiB" in step.name and step.name.startswith(("put", "upload"))]

    def start(self, name, scratch, public_key, options):
        folder = scratch / f"trail-{self.kind}-{name}"
        folder.mkdir(parents=True)
        binary = {"before": options.before, BASE: options.without_trail}.get(name, options.binary)
        more = ""
        if name == "webhook":
            self.receivers.append(Receiver())
            more = webhooks(folder, {"fast": self.receivers[-1].port}, ["*"])
        if self.kind == "https":
            server = https.causeway(folder, options, name, binary, more, WORD if name == BASE else [])
        else:
            server = peers.causeway(folder, public_key, options, name, binary, more, WORD if name == BASE else [])
        return server.await_ready()

    def close(self):
        for receiver in self.receivers:
            receiver.stop()
        self.receivers.clear()


KINDS = {"trail-https": Kind("https", https.STEPS), "trail-sftp": Kind("sftp", steps.STEPS)}
