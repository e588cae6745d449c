/* adapter.h: a trained adapter as a folder in PEFT's format, and its way back into a model.
 *
 *     run --save--> DIR/adapter_config.json, adapter_model.safetensors, config.json, tokenizer
 *     base + DIR --merge--> a complete Hugging Face folder with W + alpha / r * B A
 *
 * adapter_model.safetensors has A and B of every adapted layer and what else was trained, the
 * classifier and a pooler that is new, under the names that peft gives them. config.json is
 * the whole model's, for its labels: peft reads past it.
 *
 * A folder to merge may come from anywhere: nothing of it is believed, and what hone would not
 * compute as peft does (DoRA, ranks that differ from layer to layer, biases) is refused.
 */
#ifndef HONE_TRAIN_ADAPTER_H
#define HONE_TRAIN_ADAPTER_H

#include "base/err.h"
#include "base/str.h"
#include "model/tuner.h"

/* Make the folder at path from what the tuner holds; base is what peft is told to put it on.
 * IO, also for a full disk: then nothing is left behind. */
HONE_NODISCARD hone_err hone_adapter_save(const char *path, const char *base, hone_tuner *tuner);

/* What adapter_config.json says. */
typedef struct hone_adapter_config {
    size_t rank;
    double alpha;
    double scale; /* of B A */
} hone_adapter_config;

/* CORRUPT names the key, INVALID a kind of adapter that hone does not compute. where names the
 * document in messages. */
HONE_NODISCARD hone_err hone_adapter_parse(hone_str bytes, const char *where,
                                           hone_adapter_config *out);

/* Make the folder `out` of the model in base with the adapter in dir. NOT_FOUND, CORRUPT,
 * INVALID, IO; nothing is left behind on failure. */
HONE_NODISCARD hone_err hone_adapter_merge(const char *base, const char *dir, const char *out);

#endif
