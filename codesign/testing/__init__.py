"""Conformance kits and generators for tests, shipped with the package."""
