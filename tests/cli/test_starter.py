"""The starter set: what the demo asks about is in no file that anything is trained or judged on."""
import csv
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from support import ROOT, Case

STARTER = ROOT / 'starter'
CHECK = [sys.executable, str(ROOT / 'tools' / 'check_starter.py')]
FOUNDING = 'I bet I now understand how SageMaker works!'


def column(name, key='text'):
    with (STARTER / name).open(encoding='utf-8', newline='') as file:
        return [row[key] for row in csv.DictReader(file)]


def words(text):
    return re.findall(r'\w+', text.casefold())


class Starter(Case):
    def test_founding_sentence_and_paraphrases_are_not_trained_on(self):
        asked = column('candidates.csv')
        self.assertEqual(asked[0], FOUNDING)
        known = [words(text) for name in ('train.csv', 'test.csv', 'pool.csv') for text in column(name)]
        for text in asked:
            self.assertNotIn(words(text), known)
        # Nor is its subject: the starter set never speaks of it at all.
        for name in ('train.csv', 'test.csv'):
            self.assertNotIn('sagemaker', ' '.join(column(name)).casefold())

    def test_no_near_duplicates_anywhere(self):
        done = subprocess.run([*CHECK, str(STARTER)], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertIn(', 0 near-duplicates', done.stdout)

    def test_a_planted_copy_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ('train.csv', 'test.csv', 'pool.csv', 'candidates.csv'):
                pathlib.Path(folder, name).write_bytes((STARTER / name).read_bytes())
            with pathlib.Path(folder, 'pool.csv').open('a') as file:
                file.write('I bet I understand how SageMaker works now!,positive\n')
            done = subprocess.run([*CHECK, folder], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn('candidates.csv row 2', done.stdout)


if __name__ == '__main__':
    unittest.main()
