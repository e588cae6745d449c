#!/usr/bin/env python3
"""Turn the encoder of a BERT into the same encoder in DistilBERT's layout.

    to_distilbert.py BERT OUT

DistilBERT is a BERT without token types and with another head. Texts of one part have token type
0 throughout, so its row is added to every position's; the rest is renamed. `hone embed` gives the
same numbers for both folders, up to rounding. The head is left out (the pooler's tanh has no
counterpart there): training makes a new one, with pre_classifier.

A base of DistilBERT's architecture for measurements where the real one cannot be had."""
import argparse
import array
import json
import pathlib
import shutil
import struct
import sys

LAYER_NAMES = {
    'attention.self.query': 'attention.q_lin', 'attention.self.key': 'attention.k_lin',
    'attention.self.value': 'attention.v_lin', 'attention.output.dense': 'attention.out_lin',
    'attention.output.LayerNorm': 'sa_layer_norm', 'intermediate.dense': 'ffn.lin1',
    'output.dense': 'ffn.lin2', 'output.LayerNorm': 'output_layer_norm'}
CONFIG_NAMES = {
    'vocab_size': 'vocab_size', 'max_position_embeddings': 'max_position_embeddings',
    'hidden_size': 'dim', 'intermediate_size': 'hidden_dim', 'num_hidden_layers': 'n_layers',
    'num_attention_heads': 'n_heads', 'hidden_dropout_prob': 'dropout',
    'attention_probs_dropout_prob': 'attention_dropout', 'hidden_act': 'activation',
    'initializer_range': 'initializer_range', 'pad_token_id': 'pad_token_id'}
COPIED = ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'vocab.txt']
NORM_EPS = 1e-12  # DistilBERT's, which its config.json cannot change


def read_weights(path):
    """{name: (shape, floats as bytes)}, names without the prefix 'bert.'."""
    data = path.read_bytes()
    start = 8 + struct.unpack('<Q', data[:8])[0]
    found = {}
    for name, t in json.loads(data[8:start]).items():
        if name == '__metadata__' or t['dtype'] == 'I64':
            continue
        if t['dtype'] != 'F32':
            sys.exit(f"{path}: weight '{name}' is {t['dtype']}, expected F32")
        begin, end = t['data_offsets']
        found[name.removeprefix('bert.')] = t['shape'], data[start + begin:start + end]
    return found


def write_weights(path, tensors):
    header, at = {}, 0
    for name, (shape, part) in tensors.items():
        header[name] = {'dtype': 'F32', 'shape': shape, 'data_offsets': [at, at + len(part)]}
        at += len(part)
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    with path.open('wb') as out:
        out.write(struct.pack('<Q', len(text)) + text)
        for _, part in tensors.values():
            out.write(part)


def fold_types(positions, types):
    """Positions with the row of token type 0 added to each."""
    shape, rows = positions
    width = shape[1]
    values, row = array.array('f', rows), array.array('f', types[1][:width * 4])
    for i in range(len(values)):
        values[i] += row[i % width]
    return shape, values.tobytes()


def convert(weights, layers):
    e = 'embeddings.'
    out = {f'distilbert.{e}word_embeddings.weight': weights[f'{e}word_embeddings.weight'],
           f'distilbert.{e}position_embeddings.weight': fold_types(
               weights[f'{e}position_embeddings.weight'], weights[f'{e}token_type_embeddings.weight'])}
    for end in ('weight', 'bias'):
        out[f'distilbert.{e}LayerNorm.{end}'] = weights[f'{e}LayerNorm.{end}']
    for layer in range(layers):
        for old, new in LAYER_NAMES.items():
            for end in ('weight', 'bias'):
                out[f'distilbert.transformer.layer.{layer}.{new}.{end}'] = weights[
                    f'encoder.layer.{layer}.{old}.{end}']
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('bert', type=pathlib.Path)
    parser.add_argument('out', type=pathlib.Path)
    args = parser.parse_args()
    config = json.loads((args.bert / 'config.json').read_text())
    if config.get('model_type') != 'bert':
        sys.exit(f"{args.bert}: model '{config.get('model_type')}' is no bert")
    if config.get('layer_norm_eps', NORM_EPS) != NORM_EPS:
        sys.exit(f"{args.bert}: layer_norm_eps is {config['layer_norm_eps']}, DistilBERT's is {NORM_EPS}")
    tensors = convert(read_weights(args.bert / 'model.safetensors'), config['num_hidden_layers'])
    args.out.mkdir(parents=True)
    write_weights(args.out / 'model.safetensors', tensors)
    made = {new: config[old] for old, new in CONFIG_NAMES.items() if old in config}
    made.update(model_type='distilbert', architectures=['DistilBertModel'])
    (args.out / 'config.json').write_text(json.dumps(made, indent=2) + '\n')
    for name in COPIED:
        if (args.bert / name).exists():
            shutil.copy(args.bert / name, args.out / name)


if __name__ == '__main__':
    main()
