#!/usr/bin/env python3
"""Fuzz every parser for a number of seconds each, starting from its corpus; `make fuzz` is this.

    tests/fuzz/run.py [SECONDS [NAME...]]

What the fuzzer learns goes to build-fuzz/corpus/<name>/ and is used again the next time; an input
that crashes, leaks, or takes too long or too much memory is kept as build-fuzz/found/<name>-*. Its
place, once the bug is mended, is tests/fuzz/corpus/<name>/, where `make test` replays it."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness.tree import ROOT, Tree  # noqa: E402

LIMITS = ['-timeout=10', '-rss_limit_mb=2048', '-max_len=65536', '-print_final_stats=1']


def fuzz(tree, name, program, seconds):
    learned, found = tree.path / 'corpus' / name, tree.path / 'found'
    learned.mkdir(parents=True, exist_ok=True)
    found.mkdir(exist_ok=True)
    log = found / f'{name}.log'
    with log.open('wb') as out:
        status = subprocess.run(
            [program, f'-max_total_time={seconds}', f'-artifact_prefix={found}/{name}-', *LIMITS,
             str(learned), str(ROOT / 'tests' / 'fuzz' / 'corpus' / name)],
            stdout=out, stderr=subprocess.STDOUT,
            env={**os.environ, 'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1',
                 'ASAN_OPTIONS': 'allocator_may_return_null=1'}).returncode
    text = log.read_text(errors='replace')
    runs = next((line.split()[-1] for line in text.splitlines()
                 if line.startswith('stat::number_of_executed_units')), '?')
    print(f'{"FOUND" if status else "ok":6} fuzz_{name}: {runs} runs in {seconds} s', flush=True)
    if status:
        print(text[-6000:])
    return status == 0


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    tree = Tree('build-fuzz')
    print(f'building {tree.name} ...', flush=True)
    wrong = tree.build()
    if wrong:
        sys.exit(wrong)
    chosen = [(name, program) for name, program in tree.fuzzers()
              if not sys.argv[2:] or name in sys.argv[2:]]
    clean = [fuzz(tree, name, program, seconds) for name, program in chosen]
    print(f'{len(clean)} fuzzers, {clean.count(False)} found something')
    return 0 if all(clean) else 1


if __name__ == '__main__':
    sys.exit(main())
