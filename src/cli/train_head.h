/* train_head.h: `hone train --mode head`: a classifier on a frozen model's embeddings. */
#ifndef HONE_CLI_TRAIN_HEAD_H
#define HONE_CLI_TRAIN_HEAD_H

#include "train/head.h"

/* What the flags --pooling and --penalty say; pooling NULL and penalty 0 = the defaults.
 * INVALID for another pooling. */
HONE_NODISCARD hone_err hone_train_head_options(const char *pooling, double penalty,
                                                hone_head_options *out);

/* Train; one sentence to stderr, the figures to stdout as one JSON. eval NULL = none. */
HONE_NODISCARD hone_err hone_train_head(hone_arena *arena, hone_pool *pool,
                                        const hone_head_options *options, const hone_dataset *train,
                                        const hone_dataset *eval);

#endif
