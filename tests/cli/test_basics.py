"""hone itself: help, version, and command lines that it does not understand."""
import os
import re
import unittest

from support import Case, hone


class Basics(Case):
    def test_help_lists_the_commands(self):
        for word in ('--help', '-h', 'help'):
            done = hone(word)
            self.assertEqual(done.returncode, 0)
            self.assertRegex(done.stdout, r'usage: hone COMMAND')
            self.assertRegex(done.stdout, r'\n  version +\S')
            self.assertEqual(done.stderr, '')

    def test_every_command_has_help(self):
        names = re.findall(r'\n  (\w+) ', hone('--help').stdout)
        self.assertIn('version', names)
        for name in names:
            with self.subTest(name):
                done = hone(name, '--help')
                self.assertEqual((done.returncode, done.stderr), (0, ''))
                self.assertIn(f'usage: hone {name}', done.stdout)

    def test_version(self):
        for word in ('version', '--version'):
            self.assertRegex(hone(word).stdout, r'^hone \d+\.\d+\.\d+\n$')

    def test_version_tells_what_computes(self):
        said = hone('version', '--verbose').stdout
        isas = re.search(r'^it may be one of (.*)$', said, re.M)[1].split()
        self.assertEqual(isas[0], 'generic')
        self.assertRegex(said, rf'(?m)^instruction set +{isas[-1]}$')
        self.assertRegex(said, r'(?m)^products of f32 +\S')
        for at, isa in enumerate(isas):
            said = hone('version', '--verbose', env={**os.environ, 'HONE_ISA': isa}).stdout
            self.assertRegex(said, rf'(?m)^instruction set +{isa}$')
            own = '|'.join(isas[:at + 1])  # not every set has kernels of its own for everything
            for line in ('products of bf16 +bf16:', 'products of int8 +int8:', 'gradients +'):
                self.assertRegex(said, rf'(?m)^{line}({own})$')

    def test_wrong_instruction_set_is_named(self):
        done = hone('version', env={**os.environ, 'HONE_ISA': 'avx9'})
        self.assert_fails(done, "HONE_ISA is 'avx9'", 'expected generic, avx2')

    def test_no_command_shows_the_usage(self):
        done = hone()
        self.assertEqual((done.returncode, done.stdout), (2, ''))
        self.assertIn('usage: hone', done.stderr)

    def test_unknown_command_is_named(self):
        done = hone('frobnicate')
        self.assertEqual((done.returncode, done.stdout), (2, ''))
        self.assertIn("unknown command 'frobnicate'", done.stderr)

    def test_unknown_flag_is_named(self):
        self.assert_fails(hone('version', '--frob'), "unknown flag '--frob'", 'hone version --help')

    def test_missing_flag_is_named(self):
        for name in re.findall(r'\n  (\w+) ', hone('--help').stdout):
            required = re.findall(r'--(\S+).*\(required\)', hone(name, '--help').stdout)
            with self.subTest(name):
                if required:
                    self.assert_fails(hone(name), f'--{required[0]}', 'is missing')

    def test_word_too_many_is_named(self):
        self.assert_fails(hone('version', 'extra'), "unexpected 'extra'")

    def test_full_output_is_an_error(self):
        with open('/dev/full', 'w') as full:
            done = hone('version', stdout=full, stderr=-1)
        self.assertEqual(done.returncode, 1)
        self.assertIn('standard output', done.stderr)

    def test_closed_pipe_is_an_error(self):
        reader, writer = os.pipe()
        os.close(reader)
        done = hone('version', stdout=writer, stderr=-1)
        os.close(writer)
        self.assertEqual(done.returncode, 1)


if __name__ == '__main__':
    unittest.main()
