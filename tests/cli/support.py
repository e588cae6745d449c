"""What the command line tests share: the binary, a folder of their own, the data of ../shared."""
import os
import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HONE = os.environ.get('HONE_BIN', str(ROOT / 'build' / 'hone'))
GOLDEN = ROOT / 'tests' / 'golden'
os.environ.setdefault('HONE_PACK_CACHE', 'off')  # tests leave nothing in anybody's cache


def hone(*args, stdin=None, timeout_s=300, **kwargs):
    """Run hone; what it said is in .stdout and .stderr, as text."""
    return subprocess.run([HONE, *map(str, args)], input=stdin, capture_output='stdout' not in kwargs,
                          text=True, timeout=timeout_s, **kwargs)


def shared(path):
    """A path inside ../shared; skips the test where it is absent."""
    full = pathlib.Path(os.environ.get('HONE_SHARED', ROOT.parent / 'shared')) / path
    if not full.exists():
        raise unittest.SkipTest(f'../shared/{path} is absent')
    return full


class Case(unittest.TestCase):
    def assert_fails(self, done, *words, status=1):
        """A clean failure: this status, nothing on stdout, one line that has these words."""
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertFalse(done.stdout)
        self.assertEqual(done.stderr.strip().count('\n'), 0, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
