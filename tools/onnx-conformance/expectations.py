"""The committed table of what each case does: expected.txt.

One line for each operator, `Name: N pass`, and below it, indented, one for each case that is refused, with the reason;
where all cases of an operator are refused for one reason, `Name: N refused: reason`. Sorted, so that a change of the
compiler is a readable change of the table. Nothing but passing and refusing can be expected."""
from pathlib import Path

FILE = Path(__file__).with_name("expected.txt")
PASS, REFUSED = "pass", "refused: "


def by_operator(cases):
    groups = {}
    for case in cases.values():
        groups.setdefault(case.operator, []).append(case.name)
    return {operator: sorted(groups[operator]) for operator in sorted(groups)}


def write(cases, verdicts):
    """`verdicts`: case name -> "pass" or "refused: reason"."""
    lines = []
    for operator, names in by_operator(cases).items():
        refused = [n for n in names if verdicts[n] != PASS]
        reasons = {verdicts[n] for n in refused}
        if len(refused) == len(names) and len(reasons) == 1:
            lines.append(f"{operator}: {len(names)} {reasons.pop()}")
            continue
        lines.append(f"{operator}: {len(names) - len(refused)} pass")
        lines += [f"  {n}: {verdicts[n]}" for n in refused]
    FILE.write_text("\n".join(lines) + "\n")


def read(cases):
    """Case name -> expected verdict; a case that the table does not account for has None."""
    verdicts = dict.fromkeys(cases)
    groups = by_operator(cases)
    counts, operator = {}, None
    for line in FILE.read_text().splitlines() if FILE.exists() else ():
        name, _, verdict = line.strip().partition(": ")
        if line.startswith("  "):
            if name in verdicts:
                verdicts[name] = verdict
            counts[operator] += 1
            continue
        operator, (count, _, verdict) = name, verdict.partition(" ")
        counts[operator] = int(count)
        for case in groups.get(operator, ()):
            verdicts[case] = verdict
    for operator, names in groups.items():
        if counts.get(operator) != len(names):  # cases came or went: the table is of another suite
            verdicts.update(dict.fromkeys(names))
    return verdicts
