#!/usr/bin/env python3
"""Makes tests/golden/train/lora-bert and lora-distilbert from peft, torch and transformers.

usage: make_lora_goldens.py [OUT]        OUT defaults to tests/golden

  adapter.safetensors   A, B and the trained head, random and far from zero, under the names that peft saves them by
  grads.safetensors     their gradients of the mean loss over the batch of train/bert (or distilbert), without dropout
  loss.json             that loss, rank, alpha and the versions

The weights are those of model/bert and model/distilbert. Every file is a function of SEED and the versions.
"""
import json
import pathlib
import sys

import peft
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

SEED, RANK, ALPHA = 31, 3, 7.5
LAYERS = {'bert': ['query', 'key', 'value', 'attention.output.dense', 'intermediate.dense', 'output.dense'],
          'distilbert': ['q_lin', 'k_lin', 'v_lin', 'out_lin', 'lin1', 'lin2']}


def saved_name(name):
    return name.replace('.default', '').replace('.modules_to_save', '')


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else 'tests/golden')
    for family, targets in LAYERS.items():
        folder = out / 'train' / f'lora-{family}'
        folder.mkdir(parents=True, exist_ok=True)
        base = hf.AutoModelForSequenceClassification.from_pretrained(out / 'model' / family)
        model = peft.get_peft_model(base, peft.LoraConfig(
            r=RANK, lora_alpha=ALPHA, target_modules=targets, modules_to_save=['classifier'], task_type='SEQ_CLS'))
        draw = torch.Generator().manual_seed(SEED)
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        with torch.no_grad():
            for p in trained.values():
                p.normal_(0, 0.3, generator=draw)
        batch = load_file(out / 'train' / family / 'batch.safetensors')
        inputs = dict(input_ids=batch['ids'], attention_mask=batch['mask'])
        if family == 'bert':
            inputs['token_type_ids'] = batch['types']
        loss = model(**inputs, labels=batch['labels']).loss
        loss.backward()
        save_file({saved_name(n): p.detach().contiguous() for n, p in trained.items()}, folder / 'adapter.safetensors')
        save_file({saved_name(n): p.grad.contiguous() for n, p in trained.items()}, folder / 'grads.safetensors')
        (folder / 'loss.json').write_text(json.dumps(
            dict(loss=loss.item(), rank=RANK, alpha=ALPHA, peft=peft.__version__, torch=torch.__version__,
                 transformers=hf.__version__), indent=1) + '\n')


if __name__ == '__main__':
    main()
