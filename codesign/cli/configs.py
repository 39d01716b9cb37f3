"""``codesign configs``: list, show, check, count and make hardware configurations."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from codesign.cli.common import notice, print_json, print_table
from codesign.errors import ConfigError
from codesign.hw.area import area
from codesign.hw.config import VtaConfig
from codesign.hw.content import config_key
from codesign.hw.documents import looks_like_path, read_document
from codesign.hw.loader import load_config, presets, to_document
from codesign.hw.space import ConfigSpace, load_space, spaces

NAME = "configs"
HELP = "list, show, check, count and make hardware configurations"

_COLUMNS = ("name", "array", "sram_kib", "bus_bits", "mhz", "dataflow", "encoding")
_FOUND_PROBLEMS = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the five actions."""
    # Actions repeat --json, so that it may stand before or behind the action.
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def action(name: str, text: str) -> argparse.ArgumentParser:
        child = actions.add_parser(name, help=text, description=text)
        child.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
        child.set_defaults(action=_ACTIONS[name])
        return child

    listing = action("list", "presets and spaces, or the points of one space")
    listing.add_argument("space", nargs="?", metavar="SPACE", help="space name or file")
    show = action("show", "every field and derived quantity of a configuration")
    show.add_argument("config", metavar="CONFIG")
    check = action("check", "every rule that a configuration or a space's points break")
    check.add_argument("document", metavar="CONFIG|SPACE")
    count = action("count", "the number of feasible points of a space, exact")
    count.add_argument("space", metavar="SPACE")
    new = action("new", "write a configuration file to start from")
    new.add_argument("-o", "--output", required=True, metavar="FILE.json")
    new.add_argument("--base", default="pynq", metavar="CONFIG", help="default: pynq")
    new.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key, JSON or text; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Do one action."""
    return int(args.action(args))


def _list(args: argparse.Namespace) -> int:
    if args.space is not None:
        return _list_points(load_space(args.space), args.json)
    configs = [load_config(name) for name in presets()]
    families = [load_space(name) for name in spaces()]
    if args.json:
        print_json(
            {
                "presets": [_summary(cfg) for cfg in configs],
                "spaces": [
                    {"name": space.name, "description": space.description} for space in families
                ],
            }
        )
        return 0
    print_table(_COLUMNS, (_row(cfg) for cfg in configs), title="presets")
    print_table(
        ("name", "description"), ((s.name, s.description) for s in families), title="spaces"
    )
    return 0


def _list_points(space: ConfigSpace, as_json: bool) -> int:
    if as_json:
        print_json({"space": space.name, "configs": [_summary(cfg) for cfg in space]})
        return 0
    print_table(_COLUMNS, (_row(cfg) for cfg in space), title=space.description)
    return 0


def _summary(cfg: VtaConfig) -> dict[str, Any]:
    return dict(zip(_COLUMNS, _row(cfg), strict=True)) | {"key": config_key(cfg)}


def _row(cfg: VtaConfig) -> tuple[object, ...]:
    return (
        cfg.name,
        f"{cfg.batch}x{cfg.block_in}x{cfg.block_out}",
        cfg.sram_bytes / 1024,
        cfg.bus_bits,
        float(cfg.frequency_mhz),
        cfg.dataflow,
        cfg.instruction_encoding,
    )


def _show(args: argparse.Namespace) -> int:
    cfg = load_config(args.config)
    derived = {
        "batch": cfg.batch,
        "block_in": cfg.block_in,
        "block_out": cfg.block_out,
        "pes": cfg.pes,
        "inp_element_bytes": cfg.inp_element_bytes,
        "wgt_element_bytes": cfg.wgt_element_bytes,
        "acc_element_bytes": cfg.acc_element_bytes,
        "uop_depth": cfg.uop_depth,
        "inp_depth": cfg.inp_depth,
        "wgt_depth": cfg.wgt_depth,
        "acc_depth": cfg.acc_depth,
        "sram_bytes": cfg.sram_bytes,
        "burst_bytes": cfg.burst_bytes,
        "instruction_encoding": cfg.instruction_encoding,
        "instruction_bytes": cfg.instruction_bytes,
        "uop_bytes": cfg.uop_bytes,
        "fits_vta_encoding": cfg.fits_vta_encoding,
        "key": config_key(cfg),
    }
    estimated = asdict(area(cfg))
    if args.json:
        document = {"config": to_document(cfg), "derived": derived, "estimated": estimated}
        print_json({"name": cfg.name, **document})
        return 0
    rows = [*to_document(cfg).items(), *derived.items()]
    rows += [(f"{name} (estimated)", count) for name, count in estimated.items()]
    print_table(("field", "value"), ((key, _text(value)) for key, value in rows), title=cfg.name)
    return 0


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _check(args: argparse.Namespace) -> int:
    if _is_space(args.document):
        return _check_space(load_space(args.document), args.json)
    cfg = load_config(args.document)
    if args.json:
        print_json({"name": cfg.name, "feasible": True, "problems": []})
    else:
        print(f"{cfg.name}: every rule holds")
    return 0


def _is_space(document: str) -> bool:
    if not looks_like_path(document):
        return document in spaces()
    return "axes" in read_document(Path(document), "spaces")[1]


def _check_space(space: ConfigSpace, as_json: bool) -> int:
    broken = space.broken_rules()
    if as_json:
        print_json(
            {
                "name": space.name,
                "points": space.product_size,
                "feasible": space.count(),
                "broken_rules": broken,
            }
        )
    else:
        print(f"{space.name}: {space.count()} of {space.product_size} points are feasible")
        if broken:
            rows = ((rule, found.points, found.example) for rule, found in broken.items())
            print_table(("broken rule", "points", "first point"), rows)
    return 0 if space.count() else _FOUND_PROBLEMS


def _count(args: argparse.Namespace) -> int:
    space = load_space(args.space)
    if args.json:
        print_json({"name": space.name, "count": space.count(), "product": space.product_size})
    else:
        print(space.count())
    return 0


def _new(args: argparse.Namespace) -> int:
    from codesign.hw.loader import parse_config
    from codesign.store.atomic import write_text

    changes = dict(_assignment(text) for text in args.set)
    document = to_document(load_config(args.base)) | changes
    cfg = parse_config(document, name=Path(args.output).stem, where=args.output)
    write_text(args.output, json.dumps(to_document(cfg), indent=2) + "\n")
    if args.json:
        print_json({"output": args.output, "config": to_document(cfg)})
    else:
        notice(f"wrote {args.output}")
    return 0


def _assignment(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text!r}: give KEY=VALUE, for example BUS_BITS=128")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


_ACTIONS = {"list": _list, "show": _show, "check": _check, "count": _count, "new": _new}
