/* import.c: `hone import`: labelled files, checked and put where pipelines find them.
 *
 *     reviews.csv --parsed whole--> s3://hone-data/NAME/reviews.csv
 *
 * A file that does not parse is refused before anything is sent: a broken line is cheaper to mend
 * here than to find in the log of a training. */
#include "base/arena.h"
#include "base/file.h"
#include "cli/client/verbs.h"
#include "cli/commands.h"
#include "cli/data_options.h"

#include <stdio.h>
#include <string.h>

enum { PATH_BYTES_MAX = 2048 };

static const size_t arena_limit_bytes = (size_t)4 << 30;
static const char bucket[] = "hone-data";

typedef struct file_facts {
    size_t records, labels;
} file_facts;

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Read the file as a data set, with an arena of its own: only the figures stay. */
static hone_err check(const char *path, const hone_import_options *options, file_facts *out) {
    hone_arena *arena = NULL;
    hone_dataset dataset;
    hone_labels labels;
    HONE_TRY(hone_arena_create(arena_limit_bytes, &arena));
    hone_err err = hone_data_open(arena, path, options, &dataset);
    if (!hone_failed(err)) err = hone_dataset_labels(arena, &dataset, &labels);
    if (!hone_failed(err)) *out = (file_facts){dataset.count, labels.count};
    hone_arena_destroy(arena);
    return err;
}

static hone_err check_key(const char *key) {
    if (*key && strlen(key) <= 512 && !strchr(key, '\\')) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "'%s' cannot be the name of an object", key);
}

static hone_err ensure_bucket(hone_remote *remote) {
    char path[64];
    (void)snprintf(path, sizeof path, "/%s", bucket);
    hone_err err = hone_remote_put(remote, path, NULL, (hone_str){NULL, 0});
    return err.code == HONE_E_CONFLICT ? HONE_OK : err; /* it is there already */
}

static hone_err upload(hone_remote *remote, const char *name, const char *path) {
    char to[PATH_BYTES_MAX];
    hone_map map;
    const char *escaped = hone_remote_escape(remote, base_name(path), false);
    const char *prefix = hone_remote_escape(remote, name, true);
    if (!escaped || !prefix) return hone_err_new(HONE_E_NOMEM, "no memory for a name");
    (void)snprintf(to, sizeof to, "/%s/%s/%s", bucket, prefix, escaped);
    HONE_TRY(hone_map_open(path, &map));
    hone_err err = hone_remote_put(remote, to, "text/plain", map.bytes);
    hone_map_close(&map);
    return err;
}

static hone_err import_all(hone_verb_call *call, const file_facts *facts, json_t *files) {
    const char *name = call->words[0];
    HONE_TRY(ensure_bucket(call->remote));
    for (size_t i = 1; i < call->word_count; i++) {
        char uri[PATH_BYTES_MAX];
        HONE_TRY(upload(call->remote, name, call->words[i]));
        (void)snprintf(uri, sizeof uri, "s3://%s/%s/%s", bucket, name, base_name(call->words[i]));
        if (!call->json)
            printf("%s  %zu records, %zu labels\n", uri, facts[i].records, facts[i].labels);
        else if (json_array_append_new(files, json_pack("{s:s, s:I, s:I}", "uri", uri, "records",
                                                        (json_int_t)facts[i].records, "labels",
                                                        (json_int_t)facts[i].labels)) != 0)
            return hone_err_new(HONE_E_NOMEM, "no memory for the answer");
    }
    return HONE_OK;
}

static hone_err import(hone_verb_call *call) {
    hone_import_options how = {0};
    const hone_option options[] = {HONE_DATA_OPTIONS(how),
                                   /* what the first two were called */
                                   {"text", "NAME", NULL, HONE_OPT_STR, &how.text_column, false},
                                   {"label", "NAME", NULL, HONE_OPT_STR, &how.label_column, false},
                                   {0}};
    file_facts facts[HONE_VERB_WORDS_MAX];
    HONE_TRY(hone_verb_begin(call, options));
    if (!call->remote) return HONE_OK;
    HONE_TRY(check_key(call->words[0]));
    for (size_t i = 1; i < call->word_count; i++) {
        HONE_TRY(check_key(base_name(call->words[i])));
        HONE_TRY(check(call->words[i], &how, &facts[i]));
    }
    json_t *files = json_array();
    if (!files) return hone_err_new(HONE_E_NOMEM, "no memory for the answer");
    hone_err err = import_all(call, facts, files);
    if (!hone_failed(err) && call->json) return hone_remote_print(files);
    json_decref(files);
    return err;
}

hone_err hone_cmd_import(int argc, char **argv) {
    static const hone_verb verb = {
        "import",
        import,
        "NAME FILE...",
        "Check csv, tsv or jsonl files of labelled texts and put them into s3://hone-data/NAME/,\n"
        "where a pipeline reads them.",
        2,
        HONE_VERB_WORDS_MAX};
    return hone_verb_run(&verb, argc, argv);
}
