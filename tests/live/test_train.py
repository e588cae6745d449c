"""`hone train` against PyTorch and transformers: the folder it writes is one that transformers
loads unchanged, and a few steps without dropout end at the weights that torch's AdamW ends at.

One batch holds the whole file, so that the order of the examples does not matter."""
import json
import pathlib
import random
import tempfile
import unittest

import reference  # first: it sets what the libraries read when imported
from reference import bert, distilbert, hone, hone_lines, spread, word_tokenizer, worst_difference

import torch
import transformers
from safetensors.torch import load_file

TOLERANCE = 1e-4  # of logits; of losses; of weights, as |a - b| / |b| per tensor
WORDS = [f'{a}{b}' for a in 'bdfgklmnpr' for b in ('a', 'e', 'i', 'o', 'u', 'an', 'en')]
RECIPE = dict(epochs=6, lr=1e-3, warmup=2, weight_decay=0.2, clip=1.0)
NO_DROPOUT = {
    bert: dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
    distilbert: dict(dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0),
}


def sentences(rng, count):
    """[(words, a number from 0 to 1 that they decide)]"""
    for _ in range(count):
        words = [rng.choice(WORDS) for _ in range(rng.randrange(1, 30))]
        yield ' '.join(words), sum('a' in word for word in words) / len(words)


def write_rows(path, rows):
    path.write_text(''.join(json.dumps({'text': text, 'label': label}) + '\n'
                            for text, label in rows))


def save_base(model, path, labels=None):
    """The model with its tokenizer; labels: its names for its outputs."""
    if labels:
        model.config.id2label = dict(enumerate(labels))
        model.config.label2id = {name: i for i, name in enumerate(labels)}
    model.save_pretrained(path)
    word_tokenizer(WORDS).save(str(path / 'tokenizer.json'))
    (path / 'tokenizer_config.json').write_text(json.dumps(
        {'tokenizer_class': 'BertTokenizer', 'model_max_length': reference.POSITIONS}))


def adamw(model):
    """The recipe's optimiser: decay on matrices that belong to no norm."""
    matrices = [p for n, p in model.named_parameters() if p.ndim > 1 and 'Norm' not in n]
    others = [p for n, p in model.named_parameters() if p.ndim <= 1 or 'Norm' in n]
    optimizer = torch.optim.AdamW([dict(params=matrices, weight_decay=RECIPE['weight_decay']),
                                   dict(params=others, weight_decay=0.0)], lr=RECIPE['lr'])
    return optimizer, transformers.get_linear_schedule_with_warmup(
        optimizer, RECIPE['warmup'], RECIPE['epochs'])


def train_in_torch(model, texts, labels):
    """The loss of each step; the model is trained in place."""
    tokenizer = word_tokenizer(WORDS)
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(texts)
    ids, mask = (torch.tensor([getattr(one, what) for one in encoded])
                 for what in ('ids', 'attention_mask'))
    optimizer, schedule = adamw(model)
    model.train()
    losses = []
    for _ in range(RECIPE['epochs']):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        losses.append(loss.item())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE['clip'])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return losses


class Train(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        self.base, self.out = self.path / 'base', self.path / 'out'
        self.base.mkdir()
        self.rng = random.Random(21)

    def train(self, rows, *flags, base=None):
        """What hone said of its training on rows."""
        write_rows(self.path / 'train.jsonl', rows)
        done = hone('train', '--base', base or self.base, '--train', self.path / 'train.jsonl',
                    '--out', self.out, *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def load(self):
        """The folder as transformers loads it, complete and with nothing over."""
        model, info = transformers.AutoModelForSequenceClassification.from_pretrained(
            self.out, output_loading_info=True)
        for kind in ('missing_keys', 'unexpected_keys', 'mismatched_keys'):
            self.assertFalse(info[kind], kind)
        return model.eval(), transformers.AutoTokenizer.from_pretrained(self.out)

    def logits_of_folder(self, texts):
        model, tokenizer = self.load()
        with torch.inference_mode():
            return [model(**tokenizer(text, truncation=True, return_tensors='pt')).logits[0]
                    .tolist() for text in texts]

    def assert_same_logits(self, texts):
        ours = hone_lines('predict', '--model', self.out, '--logits',
                          rows=[{'text': text} for text in texts])
        worst = worst_difference([mine['logits'] for mine in ours], self.logits_of_folder(texts))
        self.assertLessEqual(worst, TOLERANCE)

    # ---- steps -------------------------------------------------------------------------------

    def assert_same_weights(self, model):
        ours, theirs = load_file(self.out / 'model.safetensors'), model.state_dict()
        self.assertEqual(set(ours), set(theirs))
        for name, their in theirs.items():
            # Softmax does not see a key's bias: its gradient is rounding noise, which Adam
            # scales up to whole steps.
            if name.endswith(('key.bias', 'k_lin.bias')):
                continue
            off = ((ours[name] - their).norm() / their.norm()).item()
            self.assertLessEqual(off, TOLERANCE, name)

    def assert_same_training(self, model, rows, targets, *flags, labels=None):
        save_base(model, self.base, labels)
        said = self.train(rows, '--epochs', RECIPE['epochs'], '--lr', RECIPE['lr'], '--warmup',
                          RECIPE['warmup'], '--weight-decay', RECIPE['weight_decay'], '--clip',
                          RECIPE['clip'], '--batch-size', len(rows), '--max-length',
                          reference.POSITIONS, *flags)
        losses = train_in_torch(model, [text for text, _ in rows], targets)
        for epoch, loss in zip(said['epochs'], losses, strict=True):
            self.assertAlmostEqual(epoch['train_loss'], loss, delta=TOLERANCE * max(1, loss))
        self.assertLess(losses[-1], losses[0])
        self.assert_same_weights(model)
        self.assert_same_logits([text for text, _ in rows[:20]])

    def test_steps_of_a_classifier(self):
        labels = ['some', 'most', 'few']
        for make, more in NO_DROPOUT.items():
            for parts in ([], ['--micro-tokens', 150]):
                with self.subTest(make.__name__, flags=parts):
                    model = spread(make(hidden=36, heads=3, wide=50, labels=3, **more), seed=22)
                    found = [(text, min(2, int(3 * share)))
                             for text, share in sentences(self.rng, 60)]
                    self.assert_same_training(
                        model, [(text, labels[i]) for text, i in found],
                        torch.tensor([i for _, i in found]), *parts, labels=labels)

    def test_steps_of_a_regression(self):
        for make, more in NO_DROPOUT.items():
            with self.subTest(make.__name__):
                model = spread(make(labels=1, problem_type='regression', **more), seed=23)
                rows = list(sentences(self.rng, 60))
                self.assert_same_training(model, rows, torch.tensor([[y] for _, y in rows]),
                                          '--problem-type', 'regression')

    # ---- folders -----------------------------------------------------------------------------

    def labelled(self, names, count):
        """Rows that have every label."""
        return [(text, names[i % len(names)])
                for i, (text, _) in enumerate(sentences(self.rng, count))]

    def test_folder_loads_unchanged(self):
        names = ['weiß nicht', 'ja', 'no "quote"', '肯定', 'Z', 'a']
        for make in NO_DROPOUT:
            with self.subTest(make.__name__):
                save_base(spread(make(), seed=24), self.base)
                rows = self.labelled(names, 90)
                self.train(rows, '--epochs', 2, '--batch-size', 16)
                model, tokenizer = self.load()
                self.assertEqual(model.config.id2label, dict(enumerate(sorted(names))))
                self.assertEqual(model.config.label2id,
                                 {name: i for i, name in enumerate(sorted(names))})
                self.assertEqual(type(model), type(make()))
                text = rows[0][0]
                self.assertEqual(tokenizer(text)['input_ids'], word_tokenizer(WORDS).encode(
                    text).ids)
                self.assert_same_logits([text for text, _ in rows[:30]])

    def test_head_of_a_frozen_encoder(self):
        for make in NO_DROPOUT:
            for pooling in ('mean', 'first'):
                with self.subTest(make.__name__, pooling=pooling):
                    save_base(spread(make(), seed=27), self.base)
                    rows = self.labelled(['no', 'so', 'yes'], 60)
                    self.train(rows, '--mode', 'head', '--pooling', pooling)
                    self.assertEqual(type(self.load()[0]), type(make()))
                    self.assert_same_logits([text for text, _ in rows[:30]])

    def test_pipeline_gives_the_same_answers(self):
        save_base(spread(distilbert(), seed=25), self.base)
        rows = self.labelled(['no', 'yes'], 60)
        self.train(rows, '--epochs', 2)
        classify = transformers.pipeline('text-classification', model=str(self.out))
        texts = [text for text, _ in rows[:20]]
        ours = hone_lines('predict', '--model', self.out, rows=[{'text': text} for text in texts])
        for mine, theirs in zip(ours, classify(texts), strict=True):
            self.assertEqual(mine['label'], theirs['label'])
            self.assertAlmostEqual(mine['score'], theirs['score'], delta=TOLERANCE)

    def test_new_head_is_initialised_as_the_library_does(self):
        """At a learning rate of 0 the new head is what comes out, and the rest what went in."""
        for make in NO_DROPOUT:
            with self.subTest(make.__name__):
                model = spread(make(hidden=64, heads=4, labels=2), seed=26)
                save_base(model.base_model, self.base)
                self.train(self.labelled([f'c{i}' for i in range(40)], 80), '--epochs', 1, '--lr',
                           0)
                ours = load_file(self.out / 'model.safetensors')
                theirs = make(hidden=64, heads=4, labels=40).state_dict()
                self.assertEqual({n: t.shape for n, t in ours.items()},
                                 {n: t.shape for n, t in theirs.items()})
                for name, tensor in model.base_model.state_dict().items():
                    self.assertTrue(torch.equal(ours[f'{model.base_model_prefix}.{name}'], tensor),
                                    name)
                self.assertEqual(ours['classifier.bias'].abs().max().item(), 0)
                self.assertAlmostEqual(ours['classifier.weight'].std().item(),
                                       model.config.initializer_range, delta=1e-3)

    def test_evaluation_agrees(self):
        save_base(spread(bert(), seed=27), self.base)
        names = ['no', 'yes']
        self.train(self.labelled(names, 60), '--epochs', 1)
        rows = self.labelled(names, 50)
        write_rows(self.path / 'eval.jsonl', rows)
        done = hone('eval', '--model', self.out, '--data', self.path / 'eval.jsonl')
        self.assertEqual(done.returncode, 0, done.stderr)
        said = json.loads(done.stdout)
        logits = torch.tensor(self.logits_of_folder([text for text, _ in rows]))
        labels = torch.tensor([names.index(label) for _, label in rows])
        right = (logits.argmax(1) == labels).double().mean().item()
        loss = torch.nn.functional.cross_entropy(logits, labels).item()
        self.assertAlmostEqual(said['accuracy'], right, delta=1e-5)
        self.assertAlmostEqual(said['loss'], loss, delta=TOLERANCE * max(1, loss))

    def test_a_published_model_is_tuned(self):
        rows = [('a fine film', 'pos'), ('what a bore', 'neg'), ('I laughed, I cried', 'pos'),
                ('two hours of my life, gone', 'neg')] * 8
        self.train(rows, '--epochs', 1, '--batch-size', 16, base=reference.minilm())
        self.assertEqual(self.load()[0].config.id2label, {0: 'neg', 1: 'pos'})
        self.assert_same_logits([text for text, _ in rows[:4]] + ['Ångström 日本', ''])


if __name__ == '__main__':
    unittest.main()
