"""`hone predict` and `hone embed` against transformers: random checkpoints of many shapes, the
types a file may have, and a published model. Logits agree within 1e-4: both sides sum in fp32,
in another order."""
import math
import pathlib
import random
import shutil
import tempfile
import unittest

import reference  # first: it sets what the libraries read when imported
from reference import (POSITIONS, bert, distilbert, hone_lines, logits_of, shared, spread,
                       worst_difference)

import torch
import transformers
from safetensors.torch import load_file, save_file

TOLERANCE = 1e-4
VOCAB = 300
TEXTS = ['I bet I now understand how this works!', '', 'a', 'No.', 'Ångström, naïve; 日本語 🙂',
         'It was a long film, and every minute of it was worth the while. ' * 3,
         'the quick brown fox jumps over the lazy dog ' * 80]

MODELS = {
    'two layers': dict(),
    'one layer, 77 labels': dict(layers=1, labels=77),
    'sizes no vector divides': dict(hidden=21, heads=7, wide=13, layers=3, labels=3),
    'a hidden size of 36, one head': dict(hidden=36, heads=1, wide=50),
    'heads of 64': dict(hidden=128, heads=2, wide=512, labels=5),
    'a dozen small layers': dict(hidden=16, heads=2, wide=40, layers=12),
    'regression': dict(labels=1, problem_type='regression'),
}


def rows_of_ids(rng, types=0, count=40):
    """Rows of 1 to POSITIONS ids; with types, some have them."""
    rows = [{'ids': [rng.randrange(VOCAB) for _ in range(n)]}
            for n in [1, 2, POSITIONS] + [rng.randrange(1, POSITIONS) for _ in range(count)]]
    for row in rows[::2] if types > 1 else []:
        row['types'] = sorted(rng.randrange(types) for _ in row['ids'])
    return rows


class Predict(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        self.rng = random.Random(3)

    def assert_agrees(self, model, rows, *flags):
        """Logits, label and score of every row, the model being saved at self.path."""
        ours = hone_lines('predict', '--model', self.path, '--logits', *flags, rows=rows)
        theirs = logits_of(model, rows)
        self.assertEqual(len(ours), len(rows))
        worst = worst_difference([mine['logits'] for mine in ours], theirs)
        self.assertLessEqual(worst, TOLERANCE)
        for mine in ours:
            logits = mine['logits']
            best = max(range(len(logits)), key=logits.__getitem__)
            self.assertEqual(mine['label'], model.config.id2label[best])
            score = (1 / sum(math.exp(z - logits[best]) for z in logits)
                     if model.config.num_labels > 1 else logits[0])
            self.assertAlmostEqual(mine['score'], score, delta=1e-6 * max(1, abs(score)))

    def test_bert_of_many_shapes(self):
        for name, shape in MODELS.items():
            for types in (2, 1):
                with self.subTest(name, types=types):
                    model = spread(bert(type_vocab_size=types, **shape), seed=4)
                    model.save_pretrained(self.path)
                    self.assert_agrees(model, rows_of_ids(self.rng, types))

    def test_distilbert_of_many_shapes(self):
        for name, shape in MODELS.items():
            with self.subTest(name):
                model = spread(distilbert(**shape), seed=5)
                model.save_pretrained(self.path)
                self.assert_agrees(model, rows_of_ids(self.rng))

    def test_threads_give_the_same_bytes(self):
        model = spread(bert(hidden=64, layers=3), seed=6)
        model.save_pretrained(self.path)
        rows = rows_of_ids(self.rng, 2, 200)
        one, *others = [hone_lines('predict', '--model', self.path, '--logits', '--threads', n,
                                   rows=rows) for n in (1, 2, 3, 7)]
        for other in others:
            self.assertEqual(one, other)

    def test_sixteen_bit_files(self):
        for make in (bert, distilbert):
            for dtype in (torch.float16, torch.bfloat16):
                with self.subTest(make.__name__, dtype=dtype):
                    model = spread(make(), seed=7).to(dtype)
                    model.save_pretrained(self.path)
                    kept = load_file(self.path / 'model.safetensors')
                    self.assertEqual({t.dtype for t in kept.values()}, {dtype})
                    self.assert_agrees(model.float(), rows_of_ids(self.rng))

    def test_names_without_the_prefix(self):
        for make in (bert, distilbert):
            with self.subTest(make.__name__):
                model = spread(make(), seed=8)
                model.save_pretrained(self.path)
                prefix = f'{model.base_model_prefix}.'
                tensors = load_file(self.path / 'model.safetensors')
                self.assertTrue(any(name.startswith(prefix) for name in tensors))
                save_file({name.removeprefix(prefix): t for name, t in tensors.items()},
                          self.path / 'model.safetensors', metadata={'format': 'pt'})
                self.assert_agrees(model, rows_of_ids(self.rng))

    def test_labels_of_the_config(self):
        model = spread(bert(labels=3), seed=9)
        model.config.id2label = {0: 'negativ', 1: 'weiß nicht', 2: '肯定 "yes"'}
        model.config.label2id = {name: i for i, name in model.config.id2label.items()}
        model.save_pretrained(self.path)
        self.assert_agrees(model, rows_of_ids(self.rng))


class Published(unittest.TestCase):
    """all-MiniLM-L6-v2: as it is, and with a head."""

    def setUp(self):
        self.base = reference.minilm()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(self.base)

    def rows(self):
        return [{'text': text} for text in TEXTS]

    def test_predictions_of_texts(self):
        torch.manual_seed(10)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            self.base, num_labels=4).eval()
        torch.nn.init.normal_(model.classifier.weight, std=0.3)
        with tempfile.TemporaryDirectory() as name:
            model.save_pretrained(name)
            for file in ('tokenizer.json', 'tokenizer_config.json'):
                shutil.copy(self.base / file, name)
            for length in (None, 16):
                with self.subTest(max_length=length):
                    flags = ['--max-length', length] if length else []
                    ours = hone_lines('predict', '--model', name, '--logits', *flags,
                                      rows=self.rows())
                    ids = [{'ids': self.tokenizer(text, truncation=True,
                                                  max_length=length or 512)['input_ids']}
                           for text in TEXTS]
                    worst = worst_difference([mine['logits'] for mine in ours],
                                             logits_of(model, ids))
                    self.assertLessEqual(worst, TOLERANCE)

    def test_embeddings_are_means_of_the_last_states(self):
        model = transformers.AutoModel.from_pretrained(self.base).eval()
        batch = self.tokenizer(TEXTS, padding=True, truncation=True, max_length=512,
                               return_tensors='pt')
        with torch.inference_mode():
            states = model(**batch).last_hidden_state
        mask = batch['attention_mask'][:, :, None]
        means = (states * mask).sum(1) / mask.sum(1)
        for flags, wanted in (([], means), (['--normalize'], torch.nn.functional.normalize(means))):
            with self.subTest(flags):
                ours = hone_lines('embed', '--model', self.base, *flags, rows=self.rows())
                worst = worst_difference([mine['embedding'] for mine in ours], wanted.tolist())
                self.assertLessEqual(worst, TOLERANCE)

    def test_embeddings_that_were_recorded(self):
        rows = [{'text': text} for text in
                shared('golden/encoder/minilm.txt').read_text(encoding='utf-8').splitlines()]
        ours = hone_lines('embed', '--model', self.base, '--normalize', '--max-length', 256,
                          rows=rows)
        recorded = load_file(shared('golden/encoder/minilm.safetensors'))['embeddings']
        worst = worst_difference([mine['embedding'] for mine in ours], recorded.tolist())
        self.assertLessEqual(worst, TOLERANCE)

    def test_embeddings_of_random_encoders(self):
        for make in (reference.bert, reference.distilbert):
            with self.subTest(make.__name__), tempfile.TemporaryDirectory() as name:
                model = spread(make(hidden=36, heads=3), seed=11).base_model
                model.save_pretrained(name)
                rows = rows_of_ids(random.Random(12))
                ours = hone_lines('embed', '--model', name, rows=rows)
                with torch.inference_mode():
                    theirs = [model(torch.tensor([row['ids']])).last_hidden_state[0].mean(0)
                              .tolist() for row in rows]
                worst = worst_difference([mine['embedding'] for mine in ours], theirs)
                self.assertLessEqual(worst, TOLERANCE)


if __name__ == '__main__':
    unittest.main()
