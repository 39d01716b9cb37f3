"""One self-contained HTML page about a search."""

from codesign.report.page import render, write_report

__all__ = ["render", "write_report"]
