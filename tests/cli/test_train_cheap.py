"""hone train --freeze-layers and --recompute: less to train, and less to keep."""
import json
import unittest

from support import hone
from test_train import TrainCase
from tiny import make_model, read_weights

DROPOUT = ('--dropout', '0.2', '--epochs', '2', '--micro-tokens', '64')
PLACES = {'bert': ('bert.embeddings.', 'bert.encoder.layer.{}.'),
          'distilbert': ('distilbert.embeddings.', 'distilbert.transformer.layer.{}.')}


class Frozen(TrainCase):
    def test_frozen_tensors_keep_their_bytes_and_all_others_move(self):
        for family, (embeddings, layer) in PLACES.items():
            base = make_model(self.tmp / family, f'model/{family}')
            before = read_weights(base / 'model.safetensors')
            layers = 1 + max(int(name.split('.layer.')[1].split('.')[0]) for name in before if '.layer.' in name)
            for count in (1, layers):
                with self.subTest(family, layers=count):
                    out = self.tmp / f'{family}-{count}'
                    self.train('--freeze-layers', count, base=base, out=out)
                    after = read_weights(out / 'model.safetensors')
                    self.assertEqual(set(after), set(before))
                    frozen = (embeddings, *(layer.format(i) for i in range(count)))
                    for name, tensor in before.items():
                        self.assertEqual(after[name] == tensor, name.startswith(frozen), name)

    def test_nothing_frozen_is_the_default(self):
        self.train()
        self.train('--freeze-layers', '0', out=self.tmp / 'none')
        self.assert_same_weights(self.weights(), self.weights('none'))

    def test_more_layers_than_there_are(self):
        self.refuses(*self.flags('--freeze-layers', '7'), words=['7 layers to freeze', 'the model has'])


class SameBytes(TrainCase):
    def same(self, *flags, base):
        self.train(*DROPOUT, *flags, '--threads', '1', base=base, out=self.tmp / 'one')
        for i, more in enumerate((('--threads', '2'), ('--threads', '5'), ('--recompute',))):
            self.train(*DROPOUT, *flags, *more, base=base, out=self.tmp / f'more{i}')
            self.assert_same_weights(self.weights('one'), self.weights(f'more{i}'))

    def test_for_any_number_of_threads_and_recomputed(self):
        for family in PLACES:
            base = make_model(self.tmp / family, f'model/{family}')
            for flags in ((), ('--freeze-layers', '1')):
                with self.subTest(family, flags=flags):
                    self.same(*flags, base=base)

    def test_after_a_kill(self):
        """Taken up with --recompute: it is the same run. With other layers frozen it is not."""
        out = self.tmp / 'killed'
        flags = self.flags('--freeze-layers', '1', '--dropout', '0.2', '--eval', self.eval_csv, '--patience',
                           '1000', '--checkpoint-steps', '5', out=out)
        epochs = self.kill_under_way(*flags, out=out)
        other = hone(*flags, '--epochs', epochs, '--freeze-layers', '2')
        self.assertEqual(other.returncode, 1, other.stderr)
        self.assertIn("killed.checkpoint' belongs to a run with other options", other.stderr)
        done = self.run_ok(*flags, '--epochs', epochs, '--recompute')
        self.assertIn('resumed after step', done.stderr)
        whole = self.train('--freeze-layers', '1', '--dropout', '0.2', '--eval', self.eval_csv, '--patience',
                           '1000', '--epochs', epochs, out=self.tmp / 'whole')
        self.assert_same_weights(self.weights('killed'), self.weights('whole'))
        self.assertEqual(json.loads(done.stdout)['accuracy'], whole['accuracy'])


del TrainCase  # a case to build on, not to run


if __name__ == '__main__':
    unittest.main()
