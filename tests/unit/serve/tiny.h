/* tiny.h: model folders that answer at once: the golden BERT with a vocabulary of 99 pieces. The
 * labels carry a name, and bias moves the first logit, so that every answer tells which model gave
 * it. */
#ifndef HONE_TESTS_SERVE_TINY_H
#define HONE_TESTS_SERVE_TINY_H

#include "check.h"

#include "base/file.h"
#include "model/safetensors.h"

#include <stdlib.h>
#include <sys/stat.h>

enum { TINY_VOCAB = 99, TINY_POSITIONS = 32, TINY_LABELS = 3 };

static inline void tiny_vocab(const char *dir) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/vocab.txt", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n", file);
    for (char c = 'a'; c <= 'z'; c++) fprintf(file, "##%c\n%c\n", c, c);
    for (int i = 5 + 52; i < TINY_VOCAB; i++) fprintf(file, "[unused%d]\n", i);
    assert_int_equal(fclose(file), 0);
}

static inline void tiny_config(const char *dir, const char *name) {
    char path[256], label[64], key[2] = "0";
    json_t *config = json_load_file(GOLDEN("model/bert/config.json"), 0, NULL);
    assert_non_null(config);
    json_t *names = json_object();
    for (; key[0] < '0' + TINY_LABELS; key[0]++) {
        (void)snprintf(label, sizeof label, "%s%s", name, key);
        assert_int_equal(json_object_set_new(names, key, json_string(label)), 0);
    }
    assert_int_equal(json_object_set_new(config, "id2label", names), 0);
    assert_int_equal(json_object_del(config, "label2id"), 0);
    (void)snprintf(path, sizeof path, "%s/config.json", dir);
    assert_int_equal(json_dump_file(config, path, 0), 0);
    json_decref(config);
}

static inline void tiny_weights(const char *dir, float bias) {
    char path[256];
    hone_map map;
    hone_safetensors *file = NULL;
    CHECK_OK(hone_map_open(GOLDEN("model/bert/model.safetensors"), &map));
    CHECK_OK(hone_safetensors_parse(map.bytes, "golden", &file));
    const hone_tensor *t = hone_safetensors_find(file, "classifier.bias");
    assert_non_null(t);
    char *bytes = malloc(map.bytes.len);
    assert_non_null(bytes);
    memcpy(bytes, map.bytes.ptr, map.bytes.len);
    size_t at = (size_t)((const char *)t->data - map.bytes.ptr);
    memcpy(bytes + at, &bias, sizeof bias);
    (void)snprintf(path, sizeof path, "%s/model.safetensors", dir);
    CHECK_OK(hone_file_save(path, (hone_str){bytes, map.bytes.len}));
    free(bytes);
    hone_safetensors_close(file);
    hone_map_close(&map);
}

/* dir is made; its labels are name0, name1, name2. */
static inline void tiny_model(const char *dir, const char *name, float bias) {
    assert_int_equal(mkdir(dir, 0755), 0);
    tiny_vocab(dir);
    tiny_config(dir, name);
    tiny_weights(dir, bias);
}

#endif
