"""The table: medians, and ratios to one peer."""

import statistics


def table(title, names, results, base_name):
    """One row a step; of every server its rate and CPU, and how many times the base's they are."""
    print(f"\n## {title}: medians (rate / server CPU; in brackets, times {base_name}'s)\n")
    print("| | " + " | ".join(names) + " |")
    print("|---|" + "---|" * len(names))
    for step, by_server in results.items():
        base = middle(by_server.get(base_name))
        cells = [cell(step, middle(by_server.get(name)), base if name != base_name else None) for name in names]
        print(f"| {step.name}, {step.unit} | " + " | ".join(cells) + " |", flush=True)


def middle(runs):
    if not runs:
        return None
    rate = statistics.median(amount / seconds for amount, seconds, _ in runs)
    return rate, statistics.median(cpu for _, _, cpu in runs)


def cell(step, own, base):
    if own is None:
        return "–"
    rate, cpu = own
    shown = f"{number(rate)} / {cpu * 1000:.0f} ms"
    if base:
        share = cpu / base[1] if base[1] else float("nan")
        shown += f" (**{rate / base[0]:.2f}** / {share:.2f})"
    return shown


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"
