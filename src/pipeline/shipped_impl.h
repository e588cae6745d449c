/* shipped_impl.h: pipelines/sentiment.json, as the build put it into the program. */
#ifndef HONE_PIPELINE_SHIPPED_IMPL_H
#define HONE_PIPELINE_SHIPPED_IMPL_H

#include <stddef.h>

extern const char hone_shipped_sentiment[];
extern const size_t hone_shipped_sentiment_size;

#endif
