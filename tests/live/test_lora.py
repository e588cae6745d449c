"""Adapters of `hone train --mode lora` as peft loads them, and peft's as `hone merge` does: the same
logits, of layers of odd widths, too."""
import json
import pathlib
import random
import tempfile
import unittest

import reference  # first: it sets what the libraries read when imported
from reference import bert, distilbert, hone, hone_lines, spread, word_tokenizer, worst_difference

import peft
import torch
import transformers

TOLERANCE = 1e-4
WORDS = [f'{a}{b}' for a in 'bdfgklmnpr' for b in ('a', 'e', 'i', 'o', 'u', 'an', 'en')]
TARGETS = {bert: ['query', 'value', 'intermediate.dense'], distilbert: ['q_lin', 'lin2', 'out_lin']}


class Lora(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        self.base, self.adapter, self.merged = (self.path / name for name in ('base', 'adapter', 'merged'))
        rng = random.Random(41)
        self.texts = [' '.join(rng.choice(WORDS) for _ in range(rng.randrange(1, 30))) for _ in range(60)]

    def ok(self, *args):
        done = hone(*args)
        self.assertEqual(done.returncode, 0, done.stderr)

    def save_base(self, make, labels=2):
        model = spread(make(hidden=36, heads=3, wide=50, labels=labels), seed=42)
        model.save_pretrained(self.base)
        word_tokenizer(WORDS).save(str(self.base / 'tokenizer.json'))
        return model

    def merge(self):
        self.ok('merge', '--base', self.base, '--adapter', self.adapter, '--out', self.merged)

    def logits_of(self, model):
        tokenizer = word_tokenizer(WORDS)
        with torch.inference_mode():
            return [model(input_ids=torch.tensor([tokenizer.encode(text).ids])).logits[0].tolist()
                    for text in self.texts[:20]]

    def assert_merged_is(self, model):
        ours = hone_lines('predict', '--model', self.merged, '--logits', rows=[{'text': t} for t in self.texts[:20]])
        self.assertLessEqual(worst_difference([row['logits'] for row in ours], self.logits_of(model)), TOLERANCE)

    def test_hones_adapter_in_peft(self):
        rows = [{'text': text, 'label': 'c%d' % (i % 3)} for i, text in enumerate(self.texts)]
        data = self.path / 'train.jsonl'
        data.write_text(''.join(json.dumps(row) + '\n' for row in rows))
        for make in TARGETS:
            for flags in ((), ('--lora-targets', 'all-linear', '--lora-rank', 5), ('--freeze-layers', 1)):
                with self.subTest(make.__name__, flags=flags):
                    self.save_base(make, labels=3)
                    self.ok('train', '--mode', 'lora', '--base', self.base, '--train', data, '--out', self.adapter,
                            '--epochs', 3, '--lr', 1e-2, *flags)
                    base = transformers.AutoModelForSequenceClassification.from_pretrained(self.base)
                    model = peft.PeftModel.from_pretrained(base, self.adapter).eval()
                    self.merge()
                    self.assert_merged_is(model)

    def test_pefts_adapter_in_hone(self):
        for make, targets in TARGETS.items():
            for more in ({}, {'use_rslora': True}, {'target_modules': 'all-linear'}):
                if make is distilbert and 'target_modules' in more:
                    continue  # peft itself fails: it wants to adapt and to save the pre_classifier
                with self.subTest(make.__name__, **more):
                    config = peft.LoraConfig(**{'r': 4, 'lora_alpha': 6, 'target_modules': targets,
                                                'task_type': 'SEQ_CLS', **more})
                    model = peft.get_peft_model(self.save_base(make), config)
                    draw = torch.Generator().manual_seed(43)
                    with torch.no_grad():
                        for p in model.parameters():
                            if p.requires_grad:
                                p.normal_(0, 0.3, generator=draw)
                    model.save_pretrained(self.adapter)
                    self.merge()
                    self.assert_merged_is(model.eval())


if __name__ == '__main__':
    unittest.main()
