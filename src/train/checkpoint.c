/* checkpoint.c: see checkpoint.h. */
#include "train/checkpoint.h"

#include "base/file.h"

#include <string.h>

static const char magic[8] = "HONECKP1";

typedef struct header {
    char magic[sizeof magic];
    hone_fingerprint fingerprint;
    uint64_t count;
    uint64_t size_bytes[HONE_SECTIONS_MAX];
} header;

uint64_t hone_hash_add(uint64_t hash, const void *ptr, size_t size_bytes) {
    const unsigned char *p = ptr;
    hash ^= size_bytes;
    while (size_bytes > 0) {
        uint64_t word = 0;
        size_t n = size_bytes < sizeof word ? size_bytes : sizeof word;
        memcpy(&word, p, n);
        hash = (hash ^ word) * 0x9E3779B97F4A7C15U; /* 2^64 / golden ratio, odd */
        hash ^= hash >> 32;
        p += n;
        size_bytes -= n;
    }
    return hash;
}

static header header_of(const hone_fingerprint *fingerprint, const hone_section *sections,
                        size_t count) {
    header h = {.fingerprint = *fingerprint, .count = count};
    memcpy(h.magic, magic, sizeof magic);
    for (size_t i = 0; i < count; i++) h.size_bytes[i] = sections[i].size_bytes;
    return h;
}

hone_err hone_checkpoint_save(const char *path, const hone_fingerprint *fingerprint,
                              const hone_section *sections, size_t count) {
    header h = header_of(fingerprint, sections, count);
    hone_str parts[1 + HONE_SECTIONS_MAX] = {{(const char *)&h, sizeof h}};
    for (size_t i = 0; i < count; i++)
        parts[1 + i] = (hone_str){sections[i].ptr, sections[i].size_bytes};
    return hone_file_save_parts(path, parts, 1 + count);
}

/* What of two runs differs; NULL when nothing does. A cause comes before what follows from
 * it: another seed makes another head, other texts may have other labels. */
static const char *difference(const hone_fingerprint *a, const hone_fingerprint *b) {
    if (a->build != b->build) return "another version of hone, or another processor";
    if (a->options != b->options) return "other options";
    if (a->train != b->train) return "other training data";
    if (a->eval != b->eval) return "other evaluation data";
    if (a->base != b->base) return "another base model";
    return NULL;
}

static hone_err check(const char *path, hone_str file, const header *want) {
    header h;
    if (file.len < sizeof h || memcmp(file.ptr, magic, sizeof magic) != 0)
        return hone_err_new(HONE_E_CORRUPT, "'%s' is no checkpoint: delete it to start anew", path);
    memcpy(&h, file.ptr, sizeof h);
    const char *differs = difference(&h.fingerprint, &want->fingerprint);
    if (differs)
        return hone_err_new(HONE_E_CONFLICT,
                            "'%s' belongs to a run with %s: repeat that run's command line, or "
                            "delete the file to start anew",
                            path, differs);
    size_t left = file.len - sizeof h;
    for (size_t i = 0; i < want->count; i++) {
        if (h.count != want->count || h.size_bytes[i] != want->size_bytes[i] ||
            h.size_bytes[i] > left)
            return hone_err_new(HONE_E_CORRUPT, "'%s' is cut or broken: delete it to start anew",
                                path);
        left -= h.size_bytes[i];
    }
    return HONE_OK;
}

/* In pieces: pages of the file are this process's memory until they are let go. */
static void fill(const hone_map *map, size_t at, const hone_section *section) {
    enum { PIECE_BYTES = 16 << 20 };
    for (size_t done = 0; done < section->size_bytes; done += PIECE_BYTES) {
        size_t left = section->size_bytes - done;
        memcpy((char *)section->ptr + done, map->bytes.ptr + at + done,
               left < PIECE_BYTES ? left : PIECE_BYTES);
        hone_map_release(map);
    }
}

/* The file, once it is that of this run; on an error nothing is open. */
static hone_err open_checked(const char *path, const hone_fingerprint *fingerprint,
                             const hone_section *sections, size_t count, hone_map *map) {
    HONE_TRY(hone_map_open(path, map));
    header want = header_of(fingerprint, sections, count);
    hone_err err = check(path, map->bytes, &want);
    if (hone_failed(err)) hone_map_close(map);
    return err;
}

hone_err hone_checkpoint_fits(const char *path, const hone_fingerprint *fingerprint,
                              const hone_section *sections, size_t count) {
    hone_map map;
    HONE_TRY(open_checked(path, fingerprint, sections, count, &map));
    hone_map_close(&map);
    return HONE_OK;
}

hone_err hone_checkpoint_load(const char *path, const hone_fingerprint *fingerprint,
                              const hone_section *sections, size_t count) {
    hone_map map;
    HONE_TRY(open_checked(path, fingerprint, sections, count, &map));
    size_t at = sizeof(header);
    for (size_t i = 0; i < count; i++) {
        fill(&map, at, &sections[i]);
        at += sections[i].size_bytes;
    }
    hone_map_close(&map);
    return HONE_OK;
}
