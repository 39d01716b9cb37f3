"""Hardware configurations: values, rules, spaces, content keys (vta_configs/README.md)."""
