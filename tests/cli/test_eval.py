"""hone eval: its figures, recounted from the answers of hone predict, and what it refuses."""
import json
import math
import unittest

from support import hone
from tiny import ModelCase, csv, jsonl, lines, sentences

FIGURES = {'loss', 'examples', 'examples_per_second', 'tokens_per_second', 'seconds'}


class EvalCase(ModelCase):
    def evaluate(self, data, *more, model=None):
        done = self.run_ok('eval', '--model', model or self.bert, '--data', data, *more)
        self.assertEqual(done.stdout.count('\n'), 1)
        return json.loads(done.stdout)

    def named(self, *names, checkpoint='model/bert'):
        """A model with these labels."""
        model = self.copy(checkpoint=checkpoint)
        config = json.loads((model / 'config.json').read_text())
        config['id2label'] = {str(i): name for i, name in enumerate(names)}
        (model / 'config.json').write_text(json.dumps(config))
        return model


class Eval(EvalCase):
    def test_figures_are_those_of_the_predictions(self):
        names = ['pos', 'neg', 'so so']
        model = self.named(*names)
        rows = sentences(90, labels=('neg', 'so so', 'pos'), words=('bad', 'paper', 'good'))
        found = self.evaluate(self.file('eval.csv', csv(rows)), model=model)
        self.assertEqual(set(found), FIGURES | {'accuracy', 'macro_f1', 'per_class'})
        self.assertEqual(found['examples'], 90)
        answers = self.answers('predict', '--model', model, '--jsonl', '--logits',
                               stdin=lines(*({'text': text} for text, _ in rows)))
        right, loss, scores = 0, 0.0, []
        for (_, label), answer in zip(rows, answers):
            right += answer['label'] == label
            total = sum(math.exp(z) for z in answer['logits'])
            loss -= math.log(math.exp(answer['logits'][names.index(label)]) / total)
        for name in names:
            hits = sum(a['label'] == name == label for (_, label), a in zip(rows, answers))
            said = sum(a['label'] == name for a in answers)
            support = sum(label == name for _, label in rows)
            figures = found['per_class'][name]
            self.assertEqual(figures['support'], support)
            self.assertAlmostEqual(figures['precision'], hits / said if said else 0, places=5)
            self.assertAlmostEqual(figures['recall'], hits / support, places=5)
            scores.append(2 * hits / (said + support))
            self.assertAlmostEqual(figures['f1'], scores[-1], places=5)
        self.assertAlmostEqual(found['accuracy'], right / 90, places=5)
        self.assertAlmostEqual(found['macro_f1'], sum(scores) / 3, places=5)
        self.assertAlmostEqual(found['loss'], loss / 90, places=4)

    def test_regression(self):
        rows = sentences(40, labels=('-1', '2.5'))
        model = self.copy(checkpoint='train/regression')
        found = self.evaluate(self.file('eval.csv', csv(rows)), model=model)
        self.assertEqual(set(found), FIGURES | {'mse', 'pearson'})
        scores = [a['score'] for a in self.answers('predict', '--model', model,
                                                   stdin=''.join(text + '\n' for text, _ in rows))]
        mse = sum((s - float(label)) ** 2 for s, (_, label) in zip(scores, rows)) / len(rows)
        self.assertAlmostEqual(found['mse'], mse, places=4)

    def test_formats_say_the_same(self):
        model = self.named('neg', 'pos', 'none')
        rows = sentences(30)
        def figures(name, content, *flags):
            found = self.evaluate(self.file(name, content), *flags, model=model)
            return found['accuracy'], found['loss'], found['per_class']
        expected = figures('a.csv', csv(rows))
        self.assertEqual(figures('a.jsonl', jsonl(rows)), expected)
        self.assertEqual(figures('crlf.csv', csv(rows).replace('\n', '\r\n')), expected)
        self.assertEqual(figures('a.tsv', csv(rows).replace(',', '\t')), expected)
        self.assertEqual(figures('bare.csv', csv(rows).split('\n', 1)[1], '--text-column', '0',
                                 '--label-column', '1'), expected)

    def test_labels_without_names_are_their_numbers(self):
        rows = sentences(30, labels=('0', '2'))
        found = self.evaluate(self.file('a.csv', csv(rows)))
        self.assertEqual(found['per_class']['LABEL_2']['support'], 15)
        named = [(text, f'LABEL_{label}') for text, label in rows]
        self.assertEqual(self.evaluate(self.file('b.csv', csv(named)))['per_class'], found['per_class'])

    def test_max_length_and_threads(self):
        data = self.file('a.csv', csv(sentences(60, labels=('0', '1'))))
        whole = self.evaluate(data)
        for threads in (1, 3):
            self.assertEqual(self.evaluate(data, '--threads', threads)['loss'], whole['loss'])
        self.assertNotEqual(self.evaluate(data, '--max-length', '4')['loss'], whole['loss'])
        self.assertEqual(self.evaluate(data, '--max-length', '10000')['loss'], whole['loss'])

    def test_one_class_is_enough_to_measure(self):
        found = self.evaluate(self.file('a.csv', 'text,label\ngood,1\nbad,1\n'))
        self.assertEqual(found['per_class']['LABEL_0']['support'], 0)


class Refused(EvalCase):
    def refused(self, name, content, *words, flags=()):
        self.refuses('eval', '--model', self.bert, '--data', self.file(name, content), *flags,
                     words=[name, *words])

    def test_labels_that_the_model_does_not_have(self):
        self.refused('a.csv', 'text,label\ngood,1\nbad,3\n', 'line 3', "'3'")
        self.refused('a.csv', 'text,label\ngood,1\n\nbad,awful\n', 'line 4', "'awful'")
        model = self.named('neg', 'pos', 'none')
        data = self.file('b.csv', 'text,label\ngood,1\n')
        self.refuses('eval', '--model', model, '--data', data, words=['b.csv', 'line 2', "'1'"])

    def test_files_without_examples(self):
        self.refused('a.csv', '', 'empty')
        self.refused('a.csv', 'text,label\n', 'no rows')
        self.refused('a.csv', 'sentence,mood\na,b\n', "'text'", "'sentence'", "'mood'")
        self.refused('a.csv', 'text,label\n"a,b\n', 'line 2', 'quote')
        self.refused('a.csv', b'text,label\ncaf\x81,1\n', 'line 2', '0x81')
        self.refused('a.txt', 'good', 'its name ends in none of')
        for path in (self.tmp / 'gone.csv', self.tmp):
            self.refuses('eval', '--model', self.bert, '--data', path, words=[path.name])

    def test_models_that_are_none(self):
        data = self.file('a.csv', 'text,label\ngood,1\n')
        model = self.copy()
        whole = (model / 'model.safetensors').read_bytes()
        self.refuses('eval', '--model', self.tmp / 'gone', '--data', data, words=['gone'])
        (model / 'model.safetensors').write_bytes(whole[:1000])
        self.refuses('eval', '--model', model, '--data', data, words=['model.safetensors'])
        (model / 'model.safetensors').write_bytes(whole)
        (model / 'vocab.txt').unlink()
        self.refuses('eval', '--model', model, '--data', data, words=['vocab.txt', 'model'])

    def test_a_tokenizer_of_another_model(self):
        model = self.copy()
        (model / 'vocab.txt').write_text((model / 'vocab.txt').read_text() + 'zebra\n')
        self.refuses('eval', '--model', model, '--data', self.file('a.csv', 'text,label\nzebra,1\n'),
                     words=['99'])

    def test_flags_that_make_no_sense(self):
        data = self.file('a.csv', 'text,label\ngood,1\n')
        for flags, words in ((['--threads', 'x'], ["--threads 'x'"]), (['--frob'], ["'--frob'"]),
                             (['--max-length', '1'], ['1']), (['--encoding', 'utf-7'], ["'utf-7'"]),
                             (['more'], ["'more'"])):
            with self.subTest(flags):
                self.refuses('eval', '--model', self.bert, '--data', data, *flags, words=words)

    def test_standard_output_that_is_full(self):
        data = self.file('a.csv', 'text,label\ngood,1\n')
        with open('/dev/full', 'w') as full:
            done = hone('eval', '--model', self.bert, '--data', data, stdout=full, stderr=-1)
        self.assertEqual((done.returncode, done.stderr), (1, 'hone eval: write to standard output failed\n'))


if __name__ == '__main__':
    unittest.main()
