"""hone train and hone eval on public data sets as they were published (../shared/data)."""
import json
import unittest

from support import hone, shared
from tiny import ModelCase

FILES = [
    ('sst2/dev.tsv', ['--text-column', 'sentence'], ['0', '1']),
    ('sentences/yelp_labelled.txt',
     ['--delimiter', 'tab', '--text-column', '0', '--label-column', '1'], ['0', '1']),
    ('emotion/val.txt', ['--delimiter', ';', '--label-column', 'label_name'],
     ['anger', 'fear', 'joy', 'love', 'sadness', 'surprise']),
    ('sms_spam/SMSSpamCollection',
     ['--delimiter', 'tab', '--text-column', 'SMS', '--label-column', 'Label'], ['ham', 'spam']),
]


class PublicData(ModelCase):
    def test_files_are_read_as_they_were_published(self):
        for name, flags, labels in FILES:
            with self.subTest(name):
                path = shared(f'data/{name}')
                said = self.run_ok('train', '--base', self.bert, '--train', path, '--eval', path,
                                   '--out', self.tmp / 'out', '--epochs', '1', *flags)
                self.assertEqual(sorted(json.loads(said.stdout)['per_class']), labels)


if __name__ == '__main__':
    unittest.main()
