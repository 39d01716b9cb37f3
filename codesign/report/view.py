"""What the page shows, computed from a stored search; nothing is drawn here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codesign.report.figures import FIGURES, number

_LEVELS = {
    "t0": "T0, closed form",
    "t1": "T1, learned",
    "t2": "T2, cycle-level simulator",
    "short": "accuracy after a short training schedule alone",
}
_NAMES = {
    "conv2d": "conv",
    "depthwise_conv2d": "depthwise conv",
    "conv2d_transpose": "transposed conv",
    "avg_pool2d": "avg pool",
    "max_pool2d": "max pool",
    "requantize": "relu",
}


@dataclass(frozen=True)
class Fact:
    """A labelled value; ``note`` says where it comes from."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class View:
    """Texts and tables of the page, top to bottom; ``None`` where a search has no such thing."""

    title: str
    headline: str
    tiles: tuple[Fact, ...]
    winner: tuple[Fact, ...]
    layers: tuple[tuple[str, ...], ...]
    certificate: tuple[Fact, ...]
    levels: tuple[tuple[str, str, str], ...]
    model_errors: tuple[tuple[str, ...], ...]
    hashes: tuple[Fact, ...]


def level_name(level: str) -> str:
    return _LEVELS.get(level, level)


def make_view(problem: Mapping[str, Any], result: Mapping[str, Any]) -> View:
    """The view of one finished search."""
    certificate = result["certificate"]
    best = result["best"]
    space = result["space"]
    pairs = number(space["networks"] * space["configs"])
    what = f"{number(space['networks'])} networks × {number(space['configs'])} configurations"
    limits = ", ".join(_limit(item) for item in problem["constraints"]) or "no limits"
    headline = (
        f"{what}, {limits}: no evaluated pair keeps every limit."
        if best is None
        else f"The best of {pairs} pairs ({what}) under {limits}."
    )
    return View(
        problem.get("name", "search"),
        headline,
        () if best is None else _tiles(best, certificate, result),
        () if best is None else _winner(best, certificate, result),
        tuple(_layer(row, result) for row in result["layers"]),
        _certificate(certificate),
        _level_rows(certificate),
        _model_errors(result),
        _hashes(certificate),
    )


def _limit(item: Mapping[str, Any]) -> str:
    figure = FIGURES[item["metric"]]
    sign = "≥" if item["metric"] == "accuracy" else "≤"
    return f"{figure.name} {sign} {number(item['limit'])} {figure.unit}".strip()


def utilization(result: Mapping[str, Any]) -> tuple[float, float]:
    """Useful MACs ÷ (cycles x PEs) of the winner, and what its lower bounds would allow."""
    pes = result["config"]["pes"]
    rows: Sequence[Mapping[str, Any]] = result["layers"]
    macs = sum(row["macs"] * row["count"] for row in rows)
    cycles = sum(row["cycles"] * row["count"] for row in rows)
    bound = sum(row["bound_cycles"] * row["count"] for row in rows)
    return macs / (cycles * pes), macs / (bound * pes)


def _tiles(
    best: Mapping[str, Any], certificate: Mapping[str, Any], result: Mapping[str, Any]
) -> tuple[Fact, ...]:
    use, ceiling = utilization(result)
    proof = certificate["proof"]
    match = "yes" if proof["outputs_match"] else "NO"
    return (
        Fact("Accuracy", f"{best['accuracy']:.2f} %", _accuracy_note(certificate["accuracy"])),
        Fact("Latency", f"{best['latency_ms']:.3f} ms", f"{number(best['cycles'])} cycles, T2"),
        Fact("On-chip memory", f"{number(best['sram_kib'])} KiB", "exact"),
        Fact("Utilisation", f"{100 * use:.1f} %", f"ceiling {100 * ceiling:.1f} %"),
        Fact("Energy", f"{best['energy_mj']:.3f} mJ", "estimated"),
        Fact("Bit-exact", match, f"every element, inputs run: {proof['inputs']}"),
    )


def _accuracy_note(kind: Mapping[str, Any]) -> str:
    return ", ".join(part for part in (kind["kind"], kind["dataset"]) if part)


def _winner(
    best: Mapping[str, Any], certificate: Mapping[str, Any], result: Mapping[str, Any]
) -> tuple[Fact, ...]:
    config = result["config"]
    block_in = config["log_block"] if config["log_block_in"] is None else config["log_block_in"]
    block_out = config["log_block"] if config["log_block_out"] is None else config["log_block_out"]
    kib = {
        name: 2 ** (config[f"log_{name}_buff_size"] - 10) for name in ("inp", "wgt", "acc", "uop")
    }
    buffers = ", ".join(f"{name.upper()} {number(size)}" for name, size in kib.items())
    host = ", ".join(certificate["proof"]["host_ops"]) or "none"
    why = (Fact("Why this pair was tried", best["why"]),) if "why" in best else ()
    return (
        Fact("Network", best["network"], f"weights: {certificate['proof']['weights']}"),
        Fact("Configuration", best["config"], f"content key {best['config_key'][:12]}"),
        Fact(
            "GEMM core",
            f"{2**block_in} × {2**block_out} channels, {number(config['pes'])} PEs",
            f"{number(config['frequency_mhz'])} MHz, {config['bus_bits']}-bit bus",
        ),
        Fact("Buffers", f"{buffers} KiB", f"{number(best['sram_kib'])} KiB in all, with OUT"),
        Fact(
            "FPGA",
            f"{number(best['dsp'])} DSP, {number(best['bram36'])} RAMB36, "
            f"{number(best['lut'])} LUT, {number(best['ff'])} FF",
            "estimated, UltraScale+",
        ),
        Fact("Dataflow", config["dataflow"], ""),
        Fact("On the host", host, "quantise and dequantise at the borders"),
        *why,
    )


def _shape(workload: Mapping[str, Any], op: str) -> str:
    size = f"{workload['height']}×{workload['width']}"
    if "in_channels" in workload:
        channels = f"{workload['in_channels']} → {workload['out_channels']}"
        kernel = "×".join(str(k) for k in workload["kernel"])
        stride = f", stride {workload['stride'][0]}" if workload["stride"][0] > 1 else ""
        return channels if op == "dense" else f"{kernel}, {channels}, {size}{stride}"
    if "kernel" in workload:
        kernel = "×".join(str(k) for k in workload["kernel"])
        return f"{kernel}, {workload['channels']}, {size}"
    channels = len(workload["picks"]) if "picks" in workload else workload["channels"]
    return f"{channels}, {size}"


def layer_label(row: Mapping[str, Any]) -> str:
    """Operator and shape of one unit, in words."""
    return f"{_name(row)} {_shape(row['workload'], row['op'])}"


def layer_lines(row: Mapping[str, Any]) -> tuple[str, str]:
    """The same in two lines, for a box of a drawing."""
    shape = _shape(row["workload"], row["op"])
    if row["op"] == "dense" or "kernel" not in row["workload"]:
        return _name(row), shape
    kernel, _, rest = shape.partition(", ")
    return f"{_name(row)} {kernel}", rest.replace(", stride ", " /")


def _name(row: Mapping[str, Any]) -> str:
    op = str(row["op"])
    return _NAMES.get(op, op)


def _layer(row: Mapping[str, Any], result: Mapping[str, Any]) -> tuple[str, ...]:
    total = sum(r["cycles"] * r["count"] for r in result["layers"])
    cycles = row["cycles"] * row["count"]
    return (
        layer_label(row),
        f"× {row['count']}",
        str(row["dataflow"] or "–"),
        number(row["cycles"]),
        number(row["bound_cycles"]),
        f"{row['cycles'] / row['bound_cycles']:.2f}",
        str(row["bound"]),
        f"{100 * row['utilization']:.1f} %" if row["macs"] else "–",
        f"{100 * cycles / total:.1f} %",
    )


def _certificate(certificate: Mapping[str, Any]) -> tuple[Fact, ...]:
    kind = certificate["accuracy"]
    seeds = f"seeds: {kind['seeds']}" if kind["seeds"] else ""
    notes = (kind["split"], seeds, kind["source"])
    facts: list[Fact] = [
        Fact("Accuracy", _accuracy_note(kind), "; ".join(note for note in notes if note))
    ]
    cycles, proof = certificate["cycles"], certificate["proof"]
    if cycles is not None and proof is not None:
        equal = "equal" if cycles["package_equals_t2"] else "DIFFERENT"
        facts.append(
            Fact(
                "Winner compiled and run",
                f"{equal}: {number(proof['cycles'])} cycles",
                f"the search simulated {number(cycles['t2'])}; lower bound "
                f"{number(cycles['t0_lower_bound'])}",
            )
        )
        match = "equal on every element" if proof["outputs_match"] else "DIFFERENT"
        facts.append(
            Fact("Outputs against the integer reference", match, f"inputs run: {proof['inputs']}")
        )
    tested = certificate["accuracy"]["tested"]
    if tested is not None:
        note = f"the search selected on: {certificate['accuracy']['split']}"
        judged = f"Accuracy on what no selection saw ({tested['judged']})"
        facts.append(Fact(judged, FIGURES["accuracy"].show(tested["accuracy"]), note))
    error = certificate["model_error"]
    if error["winner_percent"] is not None:
        facts.append(
            Fact(
                f"Error of the scores ({level_name(error['level'])})",
                f"{error['winner_percent']:+.2f} % on the winner",
                f"mean {error['mean_percent']:.2f} %, largest {error['max_percent']:.2f} % over "
                f"{error['pairs']} simulated pairs",
            )
        )
    facts.append(_regret(certificate))
    seeds = ", ".join(f"{name} {seed}" for name, seed in certificate["seeds"].items())
    return (*facts, Fact("Seeds", seeds))


def _regret(certificate: Mapping[str, Any]) -> Fact:
    share = certificate["evaluated_share"]
    regret = certificate.get("regret")
    if regret is not None and regret["relative"] is not None:
        return Fact(
            "Regret (exact)",
            f"{100 * regret['relative']:.3g} %",
            f"against the optimum of all {number(share['pairs'])} pairs at T2, "
            f"{number(regret['feasible_pairs'])} of them feasible",
        )
    if "regret_at_most" in share:
        return Fact(
            "Regret at most",
            f"{100 * share['regret_at_most']:.3g} %",
            f"{number(share['not_excluded'])} possibly better pairs are left that neither a lower "
            f"bound (T0) nor a simulation (T2) excludes",
        )
    return Fact("Pairs simulated", f"{100 * share['t2']:.2g} %", "of all pairs")


def _level_rows(certificate: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    pairs = certificate["evaluated_share"]["pairs"]
    return tuple(
        (level_name(level), number(count), f"{100 * count / pairs:.3g} %")
        for level, count in certificate["evaluations"].items()
        if count and level in _LEVELS
    )


def _model_errors(result: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    errors: Any = result["model"].get("errors", {})
    splits: Mapping[str, Mapping[str, Any]] = errors.get("by_split", {})
    rows: list[tuple[str, ...]] = []
    for name, split in splits.items():
        rows.append(
            (
                name.replace("_", " "),
                str(split["held_out"]),
                number(split["test_rows"]),
                f"{split['mape']:.2f} %",
                f"{split['median']:.2f} %",
                f"{split['p95']:.2f} %",
                f"{split['spearman']:.4f}",
            )
        )
    return tuple(rows)


def _hashes(certificate: Mapping[str, Any]) -> tuple[Fact, ...]:
    versions = [Fact(name, text) for name, text in certificate["versions"].items()]
    hashes = [
        Fact(f"{name} sha256", text[:16] + "…") for name, text in certificate["hashes"].items()
    ]
    return (*versions, *hashes)
