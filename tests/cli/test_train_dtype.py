"""hone train --dtype bf16: products of rounded numbers; weights and sums stay f32."""
import json
import unittest

from support import hone
from test_train import TrainCase
from test_train_cheap import PLACES
from tiny import make_model, read_weights

DROPOUT = ('--dropout', '0.2', '--epochs', '2', '--micro-tokens', '64')


class Bf16(TrainCase):
    def test_same_bytes_for_any_number_of_threads_and_recomputed(self):
        for family in PLACES:
            with self.subTest(family):
                base = make_model(self.tmp / family, f'model/{family}')
                self.train(*DROPOUT, '--dtype', 'bf16', '--threads', '1', base=base, out=self.tmp / 'one')
                for more in (('--threads', '2'), ('--threads', '3'), ('--threads', '7'), ('--recompute',)):
                    self.train(*DROPOUT, '--dtype', 'bf16', *more, base=base, out=self.tmp / 'more')
                    self.assert_same_weights(self.weights('one'), self.weights('more'))

    def test_is_near_f32_and_not_f32(self):
        for family in PLACES:
            with self.subTest(family):
                base = make_model(self.tmp / family, f'model/{family}')
                flags = ('--dropout', '0', '--epochs', '2')
                losses = []
                for dtype in ('f32', 'bf16'):
                    found = self.train(*flags, '--dtype', dtype, '--eval', self.eval_csv, base=base,
                                       out=self.tmp / dtype)
                    losses.append(found['loss'])
                self.assertNotEqual(self.weights('f32'), self.weights('bf16'))
                self.assertNotEqual(losses[0], losses[1])
                self.assertAlmostEqual(losses[0], losses[1], delta=0.02)
                weights = read_weights(self.tmp / 'bf16' / 'model.safetensors')
                self.assertEqual({dtype for dtype, _, _ in weights.values()}, {'F32'})

    def test_after_a_kill(self):
        """The same run goes on; in f32 it is another, which says so."""
        out = self.tmp / 'killed'
        flags = self.flags('--dtype', 'bf16', '--dropout', '0.2', '--eval', self.eval_csv, '--checkpoint-steps', '5',
                           out=out)
        epochs = self.kill_under_way(*flags, out=out)
        other = hone(*flags, '--epochs', epochs, '--dtype', 'f32')
        self.assertEqual(other.returncode, 1, other.stderr)
        self.assertIn("killed.checkpoint' belongs to a run with other options", other.stderr)
        done = self.run_ok(*flags, '--epochs', epochs)
        self.assertIn('resumed after step', done.stderr)
        self.train('--dtype', 'bf16', '--dropout', '0.2', '--eval', self.eval_csv, '--epochs', epochs,
                   out=self.tmp / 'whole')
        self.assert_same_weights(self.weights('killed'), self.weights('whole'))

    def test_int8_and_frozen_heads_are_refused(self):
        self.refuses(*self.flags('--dtype', 'int8'), words=['dtype int8', 'f32 or bf16'])
        self.refuses(*self.flags('--dtype', 'bf16', '--mode', 'head'), words=['--dtype', '--mode full or lora'])


del TrainCase  # a case to build on, not to run


if __name__ == '__main__':
    unittest.main()
