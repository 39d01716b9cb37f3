"""``codesign compile``: an ONNX network and a configuration into a package."""

from __future__ import annotations

import argparse
import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codesign.cli.common import (
    add_calibration_argument,
    add_config_argument,
    add_dataflow_argument,
    notice,
    print_json,
    print_table,
)
from codesign.errors import ModelError, VerificationError
from codesign.store.atomic import refuse_unwritable, write_text

if TYPE_CHECKING:
    from codesign.compiler import Package, Verifier

NAME = "compile"
HELP = "compile a network for a configuration into a package"
_DATA_COSINE, _RANDOM_COSINE = 0.8, 0.5
"""What a phase that rounds must reach; deep networks of random weights lose up to 0.09 in one."""
_DUMPS = ("relax", "schedule", "isa")
_SHAPE = re.compile(r"([^:\[\],]+):\[([\d, ]*)\]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("model", metavar="MODEL.onnx", help="float or quantised (QDQ) ONNX model")
    add_config_argument(parser)
    parser.add_argument(
        "-o", "--output", default="module.tar", help="package to write (%(default)s)"
    )
    parser.add_argument(
        "--input-shapes", metavar='"x:[1,3,224,224]"', help="static shapes of dynamic inputs"
    )
    add_calibration_argument(parser)
    parser.add_argument(
        "--calibration-method",
        choices=("minmax", "percentile", "mse", "entropy"),
        default="minmax",
        help="how ranges of activations follow from the calibration data (%(default)s)",
    )
    add_dataflow_argument(parser)
    parser.add_argument(
        "--tuning-records", metavar="RECORDS", help="file of `codesign tune`: schedules to use"
    )
    parser.add_argument("--disabled-pass", default="", metavar="P,...", help="phases to leave out")
    parser.add_argument(
        "--dump-code",
        default="",
        metavar="F,...",
        help=f"write beside the package: {', '.join(_DUMPS)}",
    )
    parser.add_argument(
        "--compose",
        choices=("exact", "overlap"),
        default="overlap",
        help="drain the machine between layers, or let them overlap (%(default)s)",
    )
    parser.add_argument(
        "--verify",
        nargs="?",
        const="",
        metavar="IN.npz",
        help="hold every phase and every layer against what it must compute, on IN.npz, else on "
        "calibration data, else on random numbers; slow",
    )
    parser.add_argument("--print-pass-times", action="store_true", help="seconds of every phase")
    parser.add_argument(
        "--print-quantization",
        action="store_true",
        help="error of every layer against real numbers, on the calibration data or random inputs",
    )


def run(args: argparse.Namespace) -> int:
    """Compile and write the package; notices name every layer that stays on the host."""
    dumps = _list(args.dump_code)
    wrong = [name for name in dumps if name not in _DUMPS]
    if wrong:
        raise ModelError(f"--dump-code {','.join(wrong)}: allowed are {', '.join(_DUMPS)}")
    shapes = parse_shapes(args.input_shapes) if args.input_shapes else None
    refuse_unwritable(args.output)
    import codesign

    cfg = codesign.load_config(args.config)
    times: list[tuple[str, float]] = []
    modules: list[tuple[str, Any]] = []
    started = time.perf_counter()
    verifier = None
    if args.verify is not None:
        verifier = _verifier(args.model, args.verify or args.calibration, shapes)

    def callback(phase: str, module: Any) -> None:
        if verifier is not None:
            verifier(phase, module)
        if phase.startswith("vta_region_"):
            return
        times.append((phase, time.perf_counter() - started - sum(t for _, t in times)))
        if "relax" in dumps:
            modules.append((phase, module))

    package = codesign.compile(
        args.model,
        cfg,
        calibration=args.calibration,
        input_shapes=shapes,
        dataflow=args.dataflow,
        callback=callback,
        disabled=_list(args.disabled_pass),
        compose=args.compose,
        records=args.tuning_records,
        calibration_method=args.calibration_method,
    )
    if verifier is not None:
        _verify_run(package, verifier.inputs)
    package.save(args.output)
    seconds = time.perf_counter() - started
    _dump(package, Path(args.output), dumps, modules)
    for op in package.host_ops:
        if not op.name.startswith("host_"):
            notice(f"{op.name} stays on the host ({op.buffer}, {op.bytes} bytes): {op.reason}")
    summary: dict[str, Any] = {
        "output": str(args.output),
        "seconds": seconds,
        "regions": len(package.graphs),
        **package.manifest(),
    }
    if verifier is not None:
        summary["verified"] = [asdict(check) for check in verifier.checks]
    if args.print_pass_times:
        summary["pass_seconds"] = dict(times)
    if args.print_quantization:
        summary["quantization"] = _sensitivity(package, args.model, args.calibration, shapes)
    if args.json:
        print_json(summary)
    else:
        _show(summary, times if args.print_pass_times else [])
    return 0


def _sensitivity(
    package: Package, model: str, calibration: str | None, shapes: Any
) -> list[dict[str, Any]]:
    """What quantisation costs every layer, on calibration data or one random batch."""
    from codesign.compiler.sensitivity import layer_sensitivity
    from codesign.compiler.verify import one_batch

    inputs = calibration or one_batch(model, None, shapes)
    return [asdict(layer) for layer in layer_sensitivity(package, inputs)]


def _verifier(model: str, inputs: str | None, shapes: Any) -> Verifier:
    """A verifier on one declared batch of the inputs, or of random numbers.

    Those may lie far from what the network was calibrated for, so that less is asked of them.
    """
    from codesign.compiler import Verifier
    from codesign.compiler.verify import one_batch

    batch = one_batch(model, inputs, shapes)
    if inputs is not None:
        return Verifier(batch, smallest_cosine=_DATA_COSINE)
    notice(
        f"verifying on random numbers: phases that round must reach a cosine of {_RANDOM_COSINE}; "
        "with data (--verify IN.npz) more is asked"
    )
    return Verifier(batch, smallest_cosine=_RANDOM_COSINE)


def _verify_run(package: Package, inputs: Any) -> None:
    result = package.run(inputs)
    if not result.outputs_match:
        raise VerificationError(str(result.first_mismatch))


def parse_shapes(text: str) -> dict[str, list[int]]:
    """Shapes from ``"x:[1,3,224,224],y:[1,10]"``.

    Raises
    ------
    ModelError
        any other text.
    """
    shapes = {
        m[1].strip(): [int(n) for n in m[2].split(",") if n.strip()] for m in _SHAPE.finditer(text)
    }
    if not shapes or _SHAPE.sub("", text).strip(", "):
        raise ModelError(f'--input-shapes {text!r}: write it like "x:[1,3,224,224],y:[1,10]"')
    return shapes


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _dump(package: Package, output: Path, dumps: list[str], modules: list[tuple[str, Any]]) -> None:
    from codesign.isa import decode, disassemble

    stem = output.with_suffix("")
    if "relax" in dumps:
        text = "\n".join(f"# after {phase}\n{m.script(show_meta=False)}" for phase, m in modules)
        write_text(f"{stem}.relax.py", text)
    if "schedule" in dumps:
        lines = [f"{u.name}: {u.workload}\n  {dict(u.schedule)}" for u in package.units]
        write_text(f"{stem}.schedule.txt", "\n".join(lines) + "\n")
    if "isa" in dumps:
        parts = [
            f"; {name}\n"
            + "\n".join(disassemble(decode(stream.instructions, package.config), package.config))
            for name, _, stream in package.streams
        ]
        write_text(f"{stem}.isa.txt", "\n".join(parts) + "\n")


def _show(summary: dict[str, Any], times: list[tuple[str, float]]) -> None:
    layers = summary["layers"]
    print_table(
        ("layer", "op", "dataflow", "MACs", "cycles"),
        [(x["name"], x["op"], x["dataflow"], x["macs"], x["cycles"]) for x in layers],
    )
    if "verified" in summary:
        print_table(
            ("verified phase", "largest change", "cosine"),
            [(c["phase"], c["largest"], c["cosine"]) for c in summary["verified"]],
        )
    share = summary["offloaded_macs"] / summary["macs"] if summary["macs"] else 0.0
    print(
        f"{summary['output']}: {len(layers)} units in {summary['regions']} region(s), "
        f"{summary['cycles']} cycles, {share:.1%} of the MACs offloaded, "
        f"{summary['peak_dram_bytes']} bytes of DRAM, {len(summary['host_ops'])} operators on the "
        f"host, {summary['seconds']:.1f} s"
    )
    if "quantization" in summary:
        _show_quantization(summary["quantization"])
    if times:
        print_table(("pass", "seconds"), times)


def _show_quantization(layers: list[dict[str, Any]]) -> None:
    headings = ("layer", "op", "input scale", "output scale", "requantization", "weights dB")
    rows = [
        (
            *(x[k] for k in ("name", "op", "input_scale", "output_scale", "requantization")),
            "-" if x["weight_sqnr_db"] is None else f"{x['weight_sqnr_db']:.1f}",
            f"{x['output_sqnr_db']:.1f}",
            f"{x['cosine']:.5f}",
            f"{x['clipped']:.3%}",
        )
        for x in layers
    ]
    print_table((*headings, "output dB", "cosine", "clipped"), rows)
