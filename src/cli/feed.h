/* feed.h: lines of JSON in, batches of token sequences out: the reading side of predict and embed.
 *
 *     {"text": ..., "text_pair": ...}  or  {"ids": [...], "types": [...]}   --> hone_pack
 *
 * A batch ends when it is large enough, at the end of the input, or when the next line is
 * not there yet: whoever writes one line and waits gets one answer.
 */
#ifndef HONE_CLI_FEED_H
#define HONE_CLI_FEED_H

#include "base/arena.h"
#include "base/err.h"
#include "base/lines.h"
#include "cli/sequences.h"
#include "model/config.h"
#include "nn/pack.h"
#include "text/tokenizer.h"

typedef struct hone_feed {
    const char *input;
    hone_lines *lines;
    hone_tokenizer *tokenizer; /* NULL until a line has text */
    const char *model_dir;
    const hone_config *config;
    size_t max_length;
    bool jsonl; /* else a line is a text */
    hone_arena *arena;
    hone_sequences sequences;
    hone_err failed; /* what stopped the feed, told after the lines before it were answered */
    char failed_msg[512];
    bool ended;
} hone_feed;

/* input "-" is standard input; max_length 0 = what the model takes. config is borrowed. */
HONE_NODISCARD hone_err hone_feed_open(const char *input, bool jsonl, const char *model_dir,
                                       const hone_config *config, size_t max_length,
                                       hone_feed *out);
void hone_feed_close(hone_feed *feed);

/* The next batch, borrowed until the next call; out->sequences == 0 at the end. A bad line is
 * an error that names it, after the batches of the lines before it. */
HONE_NODISCARD hone_err hone_feed_next(hone_feed *feed, hone_pack *out);

#endif
