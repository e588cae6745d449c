"""A model of a shape of workloads.py, in DistilBERT's layout, with random weights: written by hand,
so that it needs nothing but Python. Time and memory do not depend on what the weights are."""
import array
import json
import math
import random

VOCABULARY, POSITIONS, LABELS = 30522, 512, ['negative', 'positive']
DEVIATION = 0.02
NOISE = 1 << 16  # numbers that are drawn; the file repeats them


def tensors(shape):
    """{name: shape of the tensor}"""
    d, f = shape['width'], shape['inner']
    found = {'distilbert.embeddings.word_embeddings.weight': (VOCABULARY, d),
             'distilbert.embeddings.position_embeddings.weight': (POSITIONS, d),
             'distilbert.embeddings.LayerNorm.weight': (d,),
             'distilbert.embeddings.LayerNorm.bias': (d,)}
    for i in range(shape['layers']):
        layer = f'distilbert.transformer.layer.{i}.'
        for name in ('q_lin', 'k_lin', 'v_lin', 'out_lin'):
            found |= {f'{layer}attention.{name}.weight': (d, d), f'{layer}attention.{name}.bias': (d,)}
        for name, rows, columns in (('ffn.lin1', f, d), ('ffn.lin2', d, f)):
            found |= {f'{layer}{name}.weight': (rows, columns), f'{layer}{name}.bias': (rows,)}
        for name in ('sa_layer_norm', 'output_layer_norm'):
            found |= {f'{layer}{name}.weight': (d,), f'{layer}{name}.bias': (d,)}
    for name, rows in (('pre_classifier', d), ('classifier', len(LABELS))):
        found |= {f'{name}.weight': (rows, d), f'{name}.bias': (rows,)}
    return found


def write_weights(path, shape):
    draw = random.Random(1)
    noise = array.array('f', (draw.gauss(0, DEVIATION) for _ in range(NOISE))).tobytes()
    header, offset = {}, 0
    for name, sides in tensors(shape).items():
        end = offset + 4 * math.prod(sides)
        header[name] = {'dtype': 'F32', 'shape': list(sides), 'data_offsets': [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    with path.open('wb') as file:
        file.write(len(text).to_bytes(8, 'little') + text)
        for left in range(offset, 0, -len(noise)):
            file.write(noise[:left])


def make(folder, shape):
    """The folder, without a vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(folder / 'model.safetensors', shape)
    (folder / 'config.json').write_text(json.dumps({
        'model_type': 'distilbert', 'architectures': ['DistilBertForSequenceClassification'],
        'activation': 'gelu', 'id2label': dict(enumerate(LABELS)), 'dim': shape['width'],
        'hidden_dim': shape['inner'], 'n_heads': shape['heads'], 'n_layers': shape['layers'],
        'vocab_size': VOCABULARY, 'max_position_embeddings': POSITIONS}))
    return folder
