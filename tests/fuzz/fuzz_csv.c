/* fuzz_csv.c: csv, tsv and headerless forms of the same bytes; whatever is accepted must hold what dataset.h promises. */
#include "base/utf8.h"
#include "data/import.h"

#include <stdlib.h>

static void check(const hone_dataset *data) {
    if (data->count == 0) abort();
    for (size_t i = 0; i < data->count; i++) {
        const hone_record *r = &data->records[i];
        if (r->text.len == 0 || r->label.len == 0 || r->line == 0) abort();
        if (hone_utf8_check(r->text) != r->text.len) abort();
        if (hone_utf8_check(r->label) != r->label.len) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct {
        const char *name;
        hone_import_options options;
    } forms[] = {
        {"f.csv", {0}},
        {"f.csv", {.text_column = "0", .label_column = "1"}},
        {"f.tsv", {0}},
        {"f.txt",
         {.text_column = "1", .label_column = "0", .encoding = "latin-1", .delimiter = ";"}},
    };
    hone_str bytes = {(const char *)data, size};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        hone_arena *arena = NULL;
        if (hone_failed(hone_arena_create((size_t)64 << 20, &arena))) abort();
        hone_dataset dataset;
        hone_labels labels;
        int32_t *ids = NULL;
        if (!hone_failed(
                hone_import_bytes(arena, bytes, forms[i].name, &forms[i].options, &dataset))) {
            check(&dataset);
            if (!hone_failed(hone_dataset_labels(arena, &dataset, &labels)) &&
                hone_failed(hone_dataset_ids(arena, &dataset, labels, &ids)))
                abort();
        }
        hone_arena_destroy(arena);
    }
    return 0;
}
