#!/usr/bin/env python3
"""Run every test of the project; `make test` is this.

    checks     the layer table, the format, the paths named in the documents
    unit       tests/unit/ in a tree built with the address and undefined sanitizers
    fuzz       the corpora of tests/fuzz/, replayed in the same tree
    release    slow unit programs (release_tests of a room's meson.build), from the release tree; what its
               objects export
    isa        the arithmetic again, as on lesser processors: the programs of ISA_ROOMS and the command
               line's tests of models, from the release tree, for each narrower HONE_ISA of this machine
    counts     instructions of tokenizer, parsers and HTTP under callgrind, beside those recorded (tests/count/)
    cli        tests/cli/test_*.py against the release binary
    aarch64    the engine alone, cross-compiled: its goldens (AARCH64) under qemu-user, when
               `make test-aarch64` has fetched what that needs
    server     tests/server/test_*.py: a running server of the release binary, driven by boto3
    races      some of them (RACES) against a server built with the thread sanitizer; HONE_LONG=1: the others
    ui         ui/tests/: types, units, and the pages in Chromium against the release binary

Everything is discovered: unit programs and fuzzers through Meson, the others by name. A stage
name as argument runs that stage only; --match REGEX picks programs by name; --tree NAME runs the
unit programs of another tree of tests/harness/tree.py, or with the stage `server` the server's tests
against that tree's binary. The last line is the count."""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import docs, venv  # noqa: E402
from harness.report import Case, Report  # noqa: E402
from harness.tree import AARCH64_ROOT, ROOT, TREES, Tree  # noqa: E402

STAGES = ['checks', 'unit', 'fuzz', 'release', 'isa', 'aarch64', 'counts', 'cli', 'server', 'races', 'ui']
TIMEOUT_S = 7200 if os.environ.get('HONE_LONG') else 600
# What makes threads meet. A race ends the server with the sanitizer's report, and so fails the test. What
# computes much, which the sanitizer makes some ten times slower, runs with HONE_LONG alone.
RACES = re.compile(r'test_(access|events|http|people|reviews|s3|start)\.py')
RACES_LONG = re.compile(r'test_(endpoints|loop|pipelines)\.py')
ISA_ROOMS = ['nn', 'model', 'decide', 'train']
ISA_CLI = re.compile(r'test_(eval|predict|train|train_head)\.py')
# Arithmetic, goldens of models and tokenizers. Emulated 20 times slower, the rest would take minutes.
AARCH64 = re.compile(r'test_(adamw|attention|config|decision|dropout|encoder|int8|isa|logistic|ops|optimizer|'
                     r'params|safetensors|scores|targets|text_goldens|tokenizer_load|tuner)')
CLANG_FORMAT = '14'  # another version formats differently

ENV = {
    'CMOCKA_MESSAGE_OUTPUT': 'TAP',
    'HONE_SHARED': os.environ.get('HONE_SHARED', str(ROOT.parent / 'shared')),
    # =2: the sanitizer's handler shows the stack, not cmocka's, which swallows it
    'ASAN_OPTIONS': 'exitcode=99:handle_segv=2:handle_abort=2:handle_sigbus=2:handle_sigfpe=2:'
                    'handle_sigill=2:allocator_may_return_null=1:detect_stack_use_after_return=1',
    'UBSAN_OPTIONS': 'exitcode=99:halt_on_error=1:print_stacktrace=1',
    'TSAN_OPTIONS': f'exitcode=99:halt_on_error=1:suppressions={ROOT}/tests/harness/tsan.supp',
    'LSAN_OPTIONS': f'suppressions={ROOT}/tests/harness/lsan.supp:print_suppressions=0',
}


def run_checked(report, title, command):
    report.run(title, command, {}, TIMEOUT_S, tap=False)


def check_format(report):
    title = 'clang-format'
    sources = sorted(str(path) for room in ('src', 'tests') for path in (ROOT / room).rglob('*.[ch]'))
    program = f'clang-format-{CLANG_FORMAT}'
    if not shutil.which(program):
        reason = f'{program} is not installed'
        report.add(title, 0.0, [Case('every source', 'skipped', reason)])
        return
    run_checked(report, title, [program, '--dry-run', '-Werror', *sources])


def check_docs(report):
    start = time.monotonic()
    wrong = docs.offences()
    cases = [Case(line, 'failed', '') for line in wrong] or [Case('paths', 'passed', '')]
    report.add('paths in documents', time.monotonic() - start, cases)


def run_checks(report):
    run_checked(report, 'layers', [sys.executable, str(ROOT / 'tools' / 'check_layers.py')])
    check_format(report)
    check_docs(report)


def run_all(report, jobs, width):
    """jobs: (title, command, env, tap), run width at a time."""
    with concurrent.futures.ThreadPoolExecutor(width) as pool:
        list(pool.map(lambda job: report.run(job[0], job[1], {**ENV, **job[2]}, TIMEOUT_S, job[3]),
                      jobs))


def units(tree, suite, match):
    return [(f'{suite} {name}', [path], {}, True) for name, path in tree.unit_programs(suite)
            if match.search(name)]


def replays(tree, match):
    corpora = ROOT / 'tests' / 'fuzz' / 'corpus'
    return [(f'fuzz corpus {name}', [path, str(corpora / name)], {}, False)
            for name, path in tree.fuzzers() if match.search(name)]


def python_tests(folder, binary, match):
    script = str(ROOT / 'tests' / 'harness' / 'tap_unittest.py')
    return [(f'{folder.name} {path.name}', [sys.executable, script, str(path)],
             {'HONE_BIN': str(binary), 'PYTHONDONTWRITEBYTECODE': '1'}, True)
            for path in sorted(folder.glob('test_*.py')) if match.search(path.name)]


def isa_tests(tree, match):
    """Their jobs; none where the processor has but the narrowest set, which the others run in."""
    said = subprocess.run([tree.path / 'hone', 'version', '--verbose'], check=True, text=True,
                          stdout=subprocess.PIPE, env={**os.environ, 'HONE_ISA': ''}).stdout
    isas = re.search(r'^it may be one of (.*)$', said, re.MULTILINE)[1].split()
    rooms = {path.stem for room in ISA_ROOMS for path in (ROOT / 'tests' / 'unit' / room).glob('test_*.c')}
    jobs = [job for suite in ('unit', 'unit-release') for job in units(tree, suite, match)
            if pathlib.Path(job[1][0]).name in rooms]
    jobs += [job for job in python_tests(ROOT / 'tests' / 'cli', tree.path / 'hone', match)
             if ISA_CLI.fullmatch(pathlib.Path(job[1][-1]).name)]
    return [(f'{isa} {title}', command, {**env, 'HONE_ISA': isa}, tap)
            for isa in isas[:-1] for title, command, env, tap in jobs]


def run_aarch64(report, match):
    tools = ['aarch64-linux-gnu-gcc', 'qemu-aarch64']
    if not all(map(shutil.which, tools)) or not (AARCH64_ROOT / 'constants.ini').exists():
        reason = f'{", ".join(tools)} or arm64 libraries are not installed: `make test-aarch64` gets them'
        report.add('aarch64', 0.0, [Case('the engine', 'skipped', reason)])
        return
    tree = Tree('build-aarch64')
    if not built(report, tree):
        return
    emulator = ['qemu-aarch64', '-L', str(AARCH64_ROOT)]
    # the project's own goldens only: those of ../shared are of real size
    run_all(report, [(f'aarch64 {title}', [*emulator, *command], {**env, 'HONE_SHARED': '/none'}, tap)
                     for title, command, env, tap in units(tree, 'unit', match)
                     if AARCH64.fullmatch(pathlib.Path(command[0]).name)], os.cpu_count() or 1)


def server_tests(report, binary, match):
    """Their jobs, in a Python that has boto3; [] when there is none such, which is a failure."""
    folder = ROOT / 'tests' / 'server'
    jobs = python_tests(folder, binary, match)
    if not jobs:
        return []
    try:
        python = venv.python_of(ROOT / '.venv-server', folder / 'requirements.txt')
    except subprocess.CalledProcessError as error:
        report.add('server', 0.0, [Case('boto3', 'failed', '')], f'{error}\n')
        return []
    return [(title, [python, *command[1:]], env, tap) for title, command, env, tap in jobs]


def ui_tests(report, binary, match):
    """Their jobs; [] when the packages of ui/ are not to be had, which is a failure."""
    ui = ROOT / 'ui'
    installed = subprocess.run([str(ROOT / 'tools' / 'build_ui'), '--install'], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    if installed.returncode:
        report.add('ui', 0.0, [Case('packages', 'failed', '')], installed.stdout)
        return []
    node = ['node', '--no-warnings']
    vitest = [*node, str(ui / 'node_modules/vitest/vitest.mjs'), 'run', '--root', str(ui), '--reporter=tap-flat']
    jobs = [('ui types', [*node, str(ui / 'node_modules/typescript/bin/tsc'), '-p', str(ui)], {}, False),
            ('ui units', vitest, {}, True)]
    for path in sorted((ui / 'tests/browser').glob('*.test.ts')):
        command = [*vitest, '--config', str(ui / 'vitest.browser.ts'), f'tests/browser/{path.name}']
        jobs.append((f'ui {path.name}', command, {'HONE_BIN': str(binary)}, True))
    return [job for job in jobs if match.search(job[0])]


def built(report, tree, *targets):
    start = time.monotonic()
    print(f'building {tree.name} ...', flush=True)
    wrong = tree.build(*targets)
    if wrong:
        report.add(tree.name, time.monotonic() - start, [Case('build', 'failed', '')], wrong)
    else:
        print(f'{"built":6} {time.monotonic() - start:7.2f} s  {tree.name}', flush=True)
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('stages', nargs='*', metavar='STAGE', help=', '.join(STAGES))
    parser.add_argument('--build', default='build', help='the release tree (default: build)')
    parser.add_argument('--tree', choices=sorted(TREES), help='unit programs of this tree only')
    parser.add_argument('--match', type=re.compile, default=re.compile(''), metavar='REGEX')
    args = parser.parse_args()
    if set(args.stages) - set(STAGES):
        parser.error(f'a stage is one of {", ".join(STAGES)}')
    stages = ['unit', 'release'] if args.tree and args.stages != ['server'] else args.stages or STAGES
    report = Report()

    if 'checks' in stages:
        run_checks(report)
    # The sanitized programs are many and small: side by side. What runs after them uses all
    # cores itself, and may look at the clock: one at a time.
    if {'unit', 'fuzz'} & set(stages):
        tree = Tree(args.tree or 'build-asan')
        if built(report, tree):
            jobs = units(tree, 'unit', args.match) if 'unit' in stages else []
            jobs += replays(tree, args.match) if 'fuzz' in stages else []
            run_all(report, jobs, os.cpu_count() or 1)
    if {'release', 'isa', 'counts', 'cli', 'server', 'ui'} & set(stages):
        tree = Tree(args.tree or args.build)
        if built(report, tree):
            jobs = units(tree, 'unit-release', args.match) if 'release' in stages else []
            if 'release' in stages and not args.tree and args.match.search('symbols'):
                script = str(ROOT / 'tools' / 'check_symbols.py')
                jobs.append(('symbols', [sys.executable, script, str(tree.path)], {}, False))
            if 'isa' in stages:
                jobs += isa_tests(tree, args.match)
            if 'counts' in stages and not args.tree and args.match.search('counts'):
                script = str(ROOT / 'tests' / 'count' / 'run.py')
                jobs.append(('counts', [sys.executable, script, '--build', args.build], {}, True))
            if 'cli' in stages:
                jobs += python_tests(ROOT / 'tests' / 'cli', tree.path / 'hone', args.match)
            if 'server' in stages:
                jobs += server_tests(report, tree.path / 'hone', args.match)
            if 'ui' in stages and not args.tree:
                jobs += ui_tests(report, tree.path / 'hone', args.match)
            run_all(report, jobs, 1)
    if 'aarch64' in stages and not args.tree:
        run_aarch64(report, args.match)
    if 'races' in stages:
        tree = Tree('build-tsan')
        if built(report, tree, 'hone'):
            chosen = RACES_LONG if os.environ.get('HONE_LONG') else RACES
            patient = {'HONE_LONG': '', 'HONE_PATIENCE': '10'} if chosen is RACES_LONG else {}
            run_all(report, [(f'races in {title}', command, {**env, **patient}, tap)
                             for title, command, env, tap in server_tests(report, tree.path / 'hone', args.match)
                             if chosen.fullmatch(title.split()[-1])], 1)
    return report.finish(ROOT / args.build / 'test-summary')


if __name__ == '__main__':
    sys.exit(main())
