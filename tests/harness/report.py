"""Run test programs, read their TAP, and tell what passed.

A program prints TAP: `ok 1 - name`, `not ok 2 - name`, `ok 3 # SKIP name` with `# skip: reason`
on the line before. What cannot be seen in TAP counts as a failure too: a signal, a sanitizer's
report, a time-out, an exit status without a failed case, a program that runs no test."""
import collections
import os
import re
import signal
import subprocess
import sys
import threading
import time

from . import lifetime

# The only reasons that excuse a test. A golden of the project's own is always there, so a
# skip that gives any other reason is a failure.
EXCUSES = re.compile(r'\.\./shared|\btmpfs\b|\broot\b|\bnot installed\b')

LINE = re.compile(r'(not )?ok\s+\d+\s*(?:-\s*)?(.*)')
SKIP = re.compile(r'#\s*skip\b\s*(.*)', re.IGNORECASE)

Case = collections.namedtuple('Case', 'name outcome detail')  # passed, failed, skipped


def read_tap(text):
    """(cases, how many the plan announces or None)."""
    cases, planned, reason = [], None, ''
    for line in text.splitlines():
        if match := re.fullmatch(r'1\.\.(\d+)', line):
            planned = int(match[1])
        elif line.startswith('# skip:'):
            reason = line.removeprefix('# skip:').strip()
        elif match := LINE.fullmatch(line):
            if skip := SKIP.match(match[2]):  # cmocka 1.1.5 says `not ok` here
                cases.append(Case(skip[1], 'skipped', reason or 'no reason given'))
            else:
                cases.append(Case(match[2], 'failed' if match[1] else 'passed', ''))
            reason = ''
    return cases, planned


def how_it_ended(status, timed_out, timeout_s):
    if timed_out:
        return f'no end after {timeout_s} s'
    if status < 0:
        return f'killed by {signal.Signals(-status).name}'
    return f'exit status {status}'


class Report:
    def __init__(self):
        self._lock = threading.Lock()
        self._count = collections.Counter()
        self._failures = []  # (title, output)

    def add(self, title, seconds, cases, output=''):
        """Count the cases of one program, and print its line and its skips."""
        checked = [self._excused(case) for case in cases]
        count = collections.Counter(case.outcome for case in checked)
        failed = [case for case in checked if case.outcome == 'failed']
        verdict = 'FAILED' if failed else 'ok'
        numbers = ', '.join(f'{count[key]} {key}' for key in ('passed', 'failed', 'skipped')
                            if count[key])
        with self._lock:
            self._count += count
            print(f'{verdict:6} {seconds:7.2f} s  {title}: {numbers}')
            for line in re.findall(r'^# figure: (.*)$', output, re.MULTILINE):
                print(f'{"":16}  {line}')
            for case in checked:
                if case.outcome == 'skipped':
                    print(f'{"skip":16}  {title}: {case.name}: {case.detail}')
            if failed:
                names = '\n'.join(f'{case.name}: {case.detail}' if case.detail else case.name
                                  for case in failed)
                self._failures.append((title, f'{names}\n\n{output}'.strip()))
            sys.stdout.flush()

    @staticmethod
    def _excused(case):
        if case.outcome != 'skipped' or EXCUSES.search(case.detail):
            return case
        return Case(case.name, 'failed', f'may not be skipped: {case.detail}')

    def run(self, title, command, env, timeout_s, tap=True):
        """One program. Without TAP the program is one case, its title."""
        start = time.monotonic()
        process = subprocess.Popen(command, env={**os.environ, **env}, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True, preexec_fn=lifetime.with_parent())
        timed_out = False
        try:
            raw, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            timed_out = True
            os.killpg(process.pid, signal.SIGKILL)
            raw, _ = process.communicate()
        seconds = time.monotonic() - start
        output = raw.decode(errors='replace')
        cases, planned = read_tap(output) if tap else ([], None)
        ended_badly = timed_out or process.returncode != 0
        said_so = any(case.outcome == 'failed' for case in cases)
        # A crash counts although its cases may all have said ok; 1 to 98 is a count of failures.
        if ended_badly and not (said_so and 0 < process.returncode < 99):
            cases.append(Case('the program', 'failed',
                              how_it_ended(process.returncode, timed_out, timeout_s)))
        elif tap and not ended_badly and len(cases) != (planned or 0):
            cases.append(Case('the program', 'failed',
                              f'{planned or 0} tests planned, {len(cases)} run'))
        elif tap and not cases:
            cases.append(Case('the program', 'failed', 'it has no tests'))
        elif not tap and not cases:
            cases.append(Case(title, 'passed', ''))
        self.add(title, seconds, cases, output)

    def finish(self, summary_path=None):
        """Print the failures and the last line; the exit status."""
        for title, output in self._failures:
            print(f'\n=== failed: {title}\n{output}')
        count = self._count
        last = f'{count["passed"]} passed, {count["failed"]} failed, {count["skipped"]} skipped'
        if summary_path:
            summary_path.write_text(last + '\n')
        print(('\n' if self._failures else '') + last, flush=True)
        return 1 if count['failed'] else 0
