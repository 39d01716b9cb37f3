"""Shipped hardware configurations (`presets/`) and configuration spaces (`spaces/`), as data.

Read them with `codesign.load_config` and `codesign.hw.space.load_space`.
"""
