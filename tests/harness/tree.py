"""Build trees: how each is set up, and which unit programs and fuzzers Meson knows in it."""
import json
import os
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

PROGRESS = re.compile(r'\[\d+/\d+\] ')  # what ninja says of a step that went well

# -Db_lundef=false: a library of a sanitized tree may leave the sanitizer's symbols open.
ADDRESS = ['--buildtype=debugoptimized', '-Db_sanitize=address,undefined', '-Db_lundef=false']

AARCH64_ROOT = ROOT / 'build-aarch64-root'  # tools/aarch64_sysroot makes it

# name: (compiler, options of meson setup)
TREES = {
    'build': ('', ['--buildtype=release']),
    'build-asan': ('', ADDRESS),
    'build-tsan': ('', ['--buildtype=debugoptimized', '-Db_sanitize=thread', '-Db_lundef=false']),
    'build-clang': ('clang', ['--buildtype=release']),
    'build-fuzz': ('clang', [*ADDRESS, '-Dfuzz=true']),
    # -O2: at -O3 the vectorizer of Debian's gcc 12.2 for aarch64 dies of an error of its own.
    'build-aarch64': ('', ['--buildtype=release', '-Doptimization=2', '-Dserver=false',
                           f'--cross-file={AARCH64_ROOT}/constants.ini',
                           f'--cross-file={ROOT}/tools/aarch64.ini']),
    # Never compiled: clang-tidy reads how it would be, with asserts, which say what holds.
    'build-lint': ('clang', ['--buildtype=debug']),
}


def run(command, env=None):
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    said = [line for line in done.stdout.splitlines() if not PROGRESS.match(line)]
    return '\n'.join([f'$ {" ".join(command)}', *said]) if done.returncode else None


class Tree:
    def __init__(self, name):
        self.name = name
        self.path = ROOT / name

    def set_up(self):
        """Have Meson write the tree, once. Returns what went wrong, or None."""
        if (self.path / 'build.ninja').exists():
            return None
        if (self.path / 'meson-private').exists():
            shutil.rmtree(self.path)  # a setup that failed half-way
        compiler, options = TREES[self.name]
        env = dict(os.environ, CC=compiler) if compiler else None
        return run(['meson', 'setup', str(self.path), str(ROOT), *options], env)

    def build(self, *targets):
        """Set up, and compile, all or these. Returns what went wrong, or None."""
        return self.set_up() or run(['ninja', '-C', str(self.path), *targets])

    def _introspect(self, what):
        listed = subprocess.run(['meson', 'introspect', what, str(self.path)], check=True,
                                stdout=subprocess.PIPE, text=True)
        return json.loads(listed.stdout)

    def unit_programs(self, suite):
        """[(name, path of the program)] of one suite: 'unit' or 'unit-release'."""
        return sorted((test['name'], test['cmd'][0]) for test in self._introspect('--tests')
                      if any(s.split(':')[-1] == suite for s in test['suite']))

    def fuzzers(self):
        """[(name without fuzz_, path of the program)]."""
        return sorted((target['name'].removeprefix('fuzz_'), target['filename'][0])
                      for target in self._introspect('--targets')
                      if target['type'] == 'executable' and target['name'].startswith('fuzz_'))
