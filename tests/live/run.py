#!/usr/bin/env python3
"""Compare hone with torch and transformers themselves: every tests/live/test_*.py.

`make test-live` makes the virtual environment and runs this with its Python."""
import pathlib
import re
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))
import run  # noqa: E402
from harness.report import Report  # noqa: E402

report = Report()
match = re.compile(sys.argv[1] if len(sys.argv) > 1 else '')
run.run_all(report, run.python_tests(TESTS / 'live', run.ROOT / 'build' / 'hone', match), 1)
sys.exit(report.finish())
