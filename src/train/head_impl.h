/* head_impl.h: what head.c computes and head_folder.c writes down, so that both agree. */
#ifndef HONE_TRAIN_HEAD_IMPL_H
#define HONE_TRAIN_HEAD_IMPL_H

#include "model/config.h"
#include "train/head.h"
#include "train/logistic.h"

/* By how much the mean outweighs the first token, which the layer adds to it. */
enum { HONE_HEAD_SCALE = 1024 };

/* Make the folder of a fit. config is the base's with the labels of the fit; it gets the layer
 * that takes the mean. */
HONE_NODISCARD hone_err hone_head_save(hone_arena *arena, const hone_head_options *options,
                                       hone_config *config, const hone_logistic *fit);

#endif
