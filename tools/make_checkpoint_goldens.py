#!/usr/bin/env python3
"""Makes tests/golden/model and tests/golden/train from transformers, torch and safetensors.

usage: make_checkpoint_goldens.py [OUT]        OUT defaults to tests/golden

  model/bert, model/distilbert   tiny checkpoints (config.json, model.safetensors) and cases.safetensors:
                                 ids, mask, types [B,S] int64; hidden.<i> [B,S,H], 0 being the embedding output;
                                 logits [B,C]. Rows are padded: compare hidden states where mask is 1.
  model/bert-f16, bert-bf16      the same weights rounded to that type, logits computed from them in fp32
  model/encoder-only             a bare BertModel: no prefix on the names, a pooler, no classifier
  model/halves.safetensors       16-bit floats of every kind and what torch makes of them in fp32
  train/bert, train/distilbert   batch.safetensors (with labels), grads.safetensors (of step 1, before clipping),
                                 after2, after5, losses.json; they start from model/bert and model/distilbert
  train/regression               the same for one output and mean squared error, with its own checkpoint; grads only

Every file is a function of SEED and the library versions, which model/README.md records.
"""
import json
import pathlib
import random
import shutil
import sys

import safetensors
import torch
import transformers as hf
from safetensors.torch import save_file

SEED = 20
VOCAB, HIDDEN, WIDE, HEADS, LAYERS, POSITIONS = 99, 32, 64, 4, 2, 32
RECIPE = dict(lr=5e-4, betas=(0.9, 0.999), eps=1e-8)
DECAY, CLIP, WARMUP, SCHEDULE, STEPS = 0.01, 1.0, 3, 30, 10

README = """# Reference checkpoints

Made by `tools/make_checkpoint_goldens.py` (which says what each file holds) with seed {seed}, transformers
{hf}, torch {torch}, safetensors {st}. Weights are spread far from zero, so that a dropped term shows.

Training recipe of `../train`: AdamW, decay on matrices that are no norm, clipping by global norm, linear schedule,
dropout 0, the same batch each step; `losses.json` has the numbers. The learning rate of the first step is 0, as the
library's scheduler has it. Compare per tensor, |a-b|/|b|; the gradients of key biases are rounding noise.
"""


def bert_config(**more):
    return hf.BertConfig(vocab_size=VOCAB, hidden_size=HIDDEN, num_attention_heads=HEADS, intermediate_size=WIDE,
                         max_position_embeddings=POSITIONS, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
                         attn_implementation='eager', **{'num_hidden_layers': LAYERS, **more})


def distilbert_config(**more):
    return hf.DistilBertConfig(vocab_size=VOCAB, dim=HIDDEN, n_heads=HEADS, hidden_dim=WIDE,
                               max_position_embeddings=POSITIONS, dropout=0.0, attention_dropout=0.0,
                               seq_classif_dropout=0.0, attn_implementation='eager', **{'n_layers': LAYERS, **more})


def spread(model, seed):
    """Weights far from zero; biases and norms that are not trivial."""
    draw = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        is_norm_weight = name.lower().endswith('norm.weight')
        p.data = torch.randn(p.shape, generator=draw) * (0.15 if p.dim() > 1 else 0.1) + (1.0 if is_norm_weight else 0.0)
    return model


def make_batch(rng, rows, with_types):
    """rows padded sequences, the first as long as the model allows, the last as short as texts get."""
    lengths = [POSITIONS, *(rng.randrange(3, POSITIONS) for _ in range(rows - 2)), 2]
    shape = (rows, POSITIONS)
    ids, mask, types = (torch.zeros(shape, dtype=torch.long) for _ in range(3))
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.tensor([rng.randrange(1, VOCAB) for _ in range(length)])
        mask[row, :length] = 1
        if with_types:
            types[row, length // 2:length] = 1
    inputs = dict(input_ids=ids, attention_mask=mask)
    if with_types:
        inputs['token_type_ids'] = types
    return inputs, dict(ids=ids, mask=mask, types=types)


def save_checkpoint(model, folder):
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    for extra in set(folder.iterdir()) - {folder / 'config.json', folder / 'model.safetensors'}:
        extra.unlink()


def save_cases(model, folder, rng, hidden=True):
    inputs, cases = make_batch(rng, 5, model.config.model_type == 'bert')
    with torch.no_grad():
        out = model(**inputs, output_hidden_states=True)
    if hidden:
        cases.update({f'hidden.{i}': h.contiguous() for i, h in enumerate(out.hidden_states)})
    if 'logits' in out:
        cases['logits'] = out.logits
    save_file(cases, folder / 'cases.safetensors')


def make_models(out, rng):
    bert = spread(hf.BertForSequenceClassification(bert_config(num_labels=3)), SEED).eval()
    distilbert = spread(hf.DistilBertForSequenceClassification(distilbert_config(num_labels=2)), SEED + 1).eval()
    for name, model in dict(bert=bert, distilbert=distilbert).items():
        save_checkpoint(model, out / name)
        save_cases(model, out / name, rng)
    for name, dtype in {'bert-f16': torch.float16, 'bert-bf16': torch.bfloat16}.items():
        rounded = hf.BertForSequenceClassification.from_pretrained(out / 'bert', dtype=dtype).eval()
        save_checkpoint(rounded, out / name)
        save_cases(rounded.float(), out / name, rng, hidden=False)
    encoder = spread(hf.BertModel(bert_config(num_hidden_layers=1)), SEED + 2).eval()
    save_checkpoint(encoder, out / 'encoder-only')
    save_cases(encoder, out / 'encoder-only', rng)


def make_halves(out):
    """Every 61st bit pattern, and the ends of each kind: zero, subnormal, normal, infinite, no number."""
    tensors = {}
    for name, dtype, fraction_bits in (('f16', torch.float16, 10), ('bf16', torch.bfloat16, 7)):
        infinity = {'f16': 0x7C00, 'bf16': 0x7F80}[name]
        edges = [0, 1, (1 << fraction_bits) - 1, 1 << fraction_bits, infinity - 1, infinity, infinity + 1, 0x7FFF]
        bits = sorted({*range(0, 1 << 16, 61), *edges, *(e | 0x8000 for e in edges)})
        halves = torch.tensor([b - (1 << 16 if b >> 15 else 0) for b in bits], dtype=torch.int16).view(dtype)
        tensors |= {name: halves, f'{name}.as_f32': halves.float()}
    save_file(tensors, out / 'halves.safetensors')


def train(model, inputs, labels, folder, keep):
    named = list(model.named_parameters())
    decayed = [p for n, p in named if p.dim() > 1 and 'norm' not in n.lower()]
    plain = [p for n, p in named if not (p.dim() > 1 and 'norm' not in n.lower())]
    optimiser = torch.optim.AdamW([dict(params=decayed, weight_decay=DECAY), dict(params=plain, weight_decay=0.0)],
                                  **RECIPE)
    schedule = hf.get_linear_schedule_with_warmup(optimiser, WARMUP, SCHEDULE)
    losses, norms = [], []
    for step in range(1, STEPS + 1):
        loss = model(**inputs, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        if step == 1:
            save_file({n: p.grad.clone() for n, p in named if p.grad is not None}, folder / 'grads.safetensors')
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)))
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if step in keep:
            save_file({n: p.detach().clone() for n, p in named}, folder / f'after{step}.safetensors')
    recipe = dict(RECIPE, weight_decay=DECAY, decayed='parameters of 2 dimensions that are no norm', clip_norm=CLIP,
                  schedule='linear', warmup_steps=WARMUP, total_steps=SCHEDULE, losses=losses,
                  grad_norms_before_clipping=norms)
    (folder / 'losses.json').write_text(json.dumps(recipe, indent=1) + '\n')


def make_training(out, models, rng):
    kinds = dict(bert=hf.BertForSequenceClassification, distilbert=hf.DistilBertForSequenceClassification)
    for name, kind in kinds.items():
        model = kind.from_pretrained(models / name, attn_implementation='eager').train()
        inputs, batch = make_batch(rng, 8, name == 'bert')
        labels = torch.tensor([rng.randrange(model.config.num_labels) for _ in range(8)])
        (out / name).mkdir(parents=True)
        save_file(dict(batch, labels=labels), out / name / 'batch.safetensors')
        train(model, inputs, labels, out / name, keep=(2, 5))

    config = distilbert_config(n_layers=1, num_labels=1, problem_type='regression')
    model = spread(hf.DistilBertForSequenceClassification(config), SEED + 3).train()
    save_checkpoint(model, out / 'regression')
    inputs, batch = make_batch(rng, 8, False)
    labels = torch.tensor([rng.uniform(-2, 2) for _ in range(8)])
    save_file(dict(batch, labels=labels), out / 'regression' / 'batch.safetensors')
    train(model, inputs, labels, out / 'regression', keep=())


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / 'tests/golden')
    rng = random.Random(SEED)
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    for part in ('model', 'train'):
        shutil.rmtree(out / part, ignore_errors=True)
    make_models(out / 'model', rng)
    make_halves(out / 'model')
    make_training(out / 'train', out / 'model', rng)
    (out / 'model' / 'README.md').write_text(README.format(seed=SEED, hf=hf.__version__, torch=torch.__version__.split('+')[0],
                                                           st=safetensors.__version__))


main()
