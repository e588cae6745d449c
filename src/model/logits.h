/* logits.h: what a model says about each text of a batch, before any decision. */
#ifndef HONE_MODEL_LOGITS_H
#define HONE_MODEL_LOGITS_H

#include <stddef.h>

typedef struct hone_logits {
    size_t count;        /* texts */
    size_t labels;       /* per text */
    const float *values; /* [count, labels], row-major */
} hone_logits;

#endif
