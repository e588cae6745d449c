/* fuzz_jsonl.c: JSON lines; whatever is accepted must hold what dataset.h promises. */
#include "base/utf8.h"
#include "data/import.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hone_arena *arena = NULL;
    if (hone_failed(hone_arena_create((size_t)64 << 20, &arena))) abort();
    hone_import_options options = {0};
    hone_dataset dataset;
    hone_str bytes = {(const char *)data, size};
    if (!hone_failed(hone_import_bytes(arena, bytes, "f.jsonl", &options, &dataset))) {
        for (size_t i = 0; i < dataset.count; i++) {
            const hone_record *r = &dataset.records[i];
            if (r->text.len == 0 || r->label.len == 0) abort();
            if (hone_utf8_check(r->text) != r->text.len) abort();
        }
    }
    hone_arena_destroy(arena);
    return 0;
}
