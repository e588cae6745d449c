/* config.h: what config.json of a Hugging Face checkpoint says about the model.
 *
 *     config.json --> hone_config --> shapes of every weight, names of the labels
 *
 * BERT and DistilBERT call the same things by different names (hidden_size, dim); here
 * they have one. What hone does not know is kept in `raw` and saved back unchanged.
 */
#ifndef HONE_MODEL_CONFIG_H
#define HONE_MODEL_CONFIG_H

#include "base/err.h"
#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum hone_family { HONE_BERT, HONE_DISTILBERT } hone_family;

typedef enum hone_problem { HONE_SINGLE_LABEL, HONE_REGRESSION } hone_problem;

typedef struct hone_config {
    hone_family family;
    size_t vocab;
    size_t hidden; /* divisible by heads */
    size_t layers;
    size_t heads;
    size_t intermediate; /* width of the feed-forward layer */
    size_t positions;    /* longest sequence in tokens */
    size_t types;        /* token types; 0 for DistilBERT */
    size_t labels;       /* >= 1 */
    char **label_names;  /* [labels], id2label; "LABEL_<id>" where the file names none */
    hone_problem problem;
    float hidden_dropout;
    float attention_dropout;
    float classifier_dropout;
    float norm_eps;
    float init_std; /* initializer_range: standard deviation of a new head's weights */
    json_t *raw;    /* the file as it was; owned */
} hone_config;

/* Read DIR/config.json. CORRUPT names the key; INVALID for another architecture than BERT
 * and DistilBERT, or an activation or position embedding that hone does not compute. */
HONE_NODISCARD hone_err hone_config_load(const char *dir, hone_config *out);

/* The same from bytes, for the fuzzer; where names the document in messages. */
HONE_NODISCARD hone_err hone_config_parse(hone_str bytes, const char *where, hone_config *out);

/* Take other labels: count names, copied. Sets id2label, label2id, problem_type and
 * architectures in raw as the transformers library does. */
HONE_NODISCARD hone_err hone_config_set_labels(hone_config *config, hone_problem problem,
                                               const char *const *names, size_t count);

/* Have so many layers. INVALID outside [1, 256]. */
HONE_NODISCARD hone_err hone_config_set_layers(hone_config *config, size_t layers);

/* Write DIR/config.json. */
HONE_NODISCARD hone_err hone_config_save(const hone_config *config, const char *dir);

void hone_config_done(hone_config *config);

/* INVALID where dir holds an adapter and no weights of a model: it says what to do with one. */
HONE_NODISCARD hone_err hone_config_refuse_adapter(const char *dir);

#endif
