"""Build trees: how each is set up, and which unit programs and fuzzers Meson knows in it."""
import json
import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# -Db_lundef=false: a library of a sanitized tree may leave the sanitizer's symbols open.
ADDRESS = ['--buildtype=debugoptimized', '-Db_sanitize=address,undefined', '-Db_lundef=false']

# name: (compiler, options of meson setup)
TREES = {
    'build': ('', ['--buildtype=release']),
    'build-asan': ('', ADDRESS),
    'build-tsan': ('', ['--buildtype=debugoptimized', '-Db_sanitize=thread', '-Db_lundef=false']),
    'build-clang': ('clang', ['--buildtype=release']),
    'build-fuzz': ('clang', [*ADDRESS, '-Dfuzz=true']),
}


class Tree:
    def __init__(self, name):
        self.name = name
        self.path = ROOT / name

    def build(self, targets=()):
        """Set up once, then compile. Returns what went wrong, or None."""
        commands = [['ninja', '-C', str(self.path), *targets]]
        if not (self.path / 'build.ninja').exists():
            compiler, options = TREES[self.name]
            if (self.path / 'meson-private').exists():
                shutil.rmtree(self.path)  # a setup that failed half-way
            commands.insert(0, ['meson', 'setup', str(self.path), str(ROOT), *options])
        else:
            compiler = ''
        env = dict(os.environ, CC=compiler) if compiler else None
        for command in commands:
            done = subprocess.run(command, env=env, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0:
                failed = max(0, done.stdout.find('FAILED:'))  # not what went well before it
                return f'$ {" ".join(command)}\n{done.stdout[failed:]}'
        return None

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
