"""Reads scrapes with the official parsers: of OpenMetrics, which is strict, and of the format before it.

exposition.py OPENMETRICS TEXT
"""

import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as older


def samples(families):
    found = {}
    for family in families:
        assert family.documentation, f"{family.name} says nothing of itself"
        for sample in family.samples:
            # One writes a bound as 1.0, the other as 1.
            labels = {name: float(value) if name == "le" else value for name, value in sample.labels.items()}
            key = (sample.name, tuple(sorted(labels.items())))
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


strict = list(openmetrics(read(sys.argv[1])))
for family in strict:
    # Base units, and a name that says it; `_total` and `_info` are the format's.
    assert family.name.startswith(("causeway_", "process_")), family.name
    assert family.type in ("counter", "gauge", "histogram", "info"), (family.name, family.type)
    assert family.unit in ("", "seconds", "bytes"), (family.name, family.unit)
    assert family.type != "histogram" or family.unit == "seconds", family.name
    assert not family.unit or family.name.endswith("_" + family.unit), family.name
    for sample in family.samples:
        allowed = {"protocol", "outcome", "direction", "operation", "code", "kind", "state", "storage", "le", "method",
                   "route", "status", "version"}
        if family.name == "causeway_webhook_circuit":
            allowed |= {"tenant", "webhook"}
        assert set(sample.labels) <= allowed, sample
one, two = samples(strict), samples(older(read(sys.argv[2])))
assert set(one) == set(two), set(one) ^ set(two)
print(len(one))
