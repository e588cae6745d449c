#!/usr/bin/env python3
"""Run the unittest cases of one file and print TAP, as the C programs do."""
import pathlib
import sys
import traceback
import unittest


class TapResult(unittest.TestResult):
    count = 0

    def _line(self, ok, test, suffix=''):
        self.count += 1
        name = getattr(test, '_testMethodName', None) or str(test)
        print(f'{"" if ok else "not "}ok {self.count} {suffix or "-"} {name}', flush=True)

    def _failed(self, test, err):
        self._line(False, test)
        for line in ''.join(traceback.format_exception(*err)).splitlines():
            print('#', line, flush=True)

    def addSuccess(self, test):
        self._line(True, test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._failed(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self._failed(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            print('#', subtest.id(), flush=True)
            self._failed(test, err)

    def addSkip(self, test, reason):
        print('# skip:', ' '.join(reason.split()), flush=True)
        self._line(True, test, '# SKIP')

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._line(False, test)


def main():
    path = pathlib.Path(sys.argv[1]).resolve()
    sys.path.insert(0, str(path.parent))
    suite = unittest.defaultTestLoader.loadTestsFromName(path.stem)
    result = TapResult()
    suite.run(result)
    print(f'1..{result.count}')
    return 0 if result.wasSuccessful() else 1


if __name__ == '__main__':
    sys.exit(main())
