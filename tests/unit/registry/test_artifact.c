/* A model folder survives packing and unpacking byte for byte, equal folders give equal
 * archives, and no archive, however it was made, writes anything but a model folder's files. */
#include "registry/artifact.h"

#include "base/file.h"
#include "check.h"
#include "fault.h"
#include "tar.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>
#include <utime.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static char dir[64];

static int make_dir(void **state) {
    (void)state;
    (void)snprintf(dir, sizeof dir, "%s", check_tmpdir());
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    check_rmtree(dir);
    return 0;
}

/* dir/name; one of eight, the oldest is overwritten. */
static const char *in_dir(const char *name) {
    static char paths[8][512];
    static size_t next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static void write_file(const char *path, const char *text) {
    CHECK_OK(hone_file_save(path, hone_str_of(text)));
}

static void assert_same_file(const char *a, const char *b) {
    hone_map x, y;
    CHECK_OK(hone_map_open(a, &x));
    CHECK_OK(hone_map_open(b, &y));
    assert_true(hone_str_equal(x.bytes, y.bytes));
    hone_map_close(&x);
    hone_map_close(&y);
}

static size_t count_entries(const char *path) {
    DIR *d = opendir(path);
    size_t count = 0;
    if (!d) return 0;
    for (const struct dirent *e; (e = readdir(d));) count += e->d_name[0] != '.';
    (void)closedir(d);
    return count;
}

static void test_artifact__packed_and_unpacked_is_the_same(void **state) {
    (void)state;
    CHECK_OK(hone_artifact_pack(GOLDEN("model/bert"), in_dir("model.tar.gz")));
    CHECK_OK(hone_artifact_unpack(in_dir("model.tar.gz"), in_dir("out")));
    assert_same_file(GOLDEN("model/bert/config.json"), in_dir("out/config.json"));
    assert_same_file(GOLDEN("model/bert/model.safetensors"), in_dir("out/model.safetensors"));
    assert_int_equal(count_entries(in_dir("out")), 2); /* cases.safetensors is none of a model's */
}

static void test_artifact__equal_folders_give_equal_bytes(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        char folder[300];
        (void)snprintf(folder, sizeof folder, "%s", in_dir(i ? "b" : "a"));
        assert_int_equal(mkdir(folder, 0755), 0);
        char name[320];
        const char *const names[] = {"model.safetensors", "vocab.txt", "config.json", "junk"};
        for (size_t f = 0; f < COUNT(names); f++) { /* made in another order, at another time */
            (void)snprintf(name, sizeof name, "%s/%s", folder, names[i ? 3 - f : f]);
            write_file(name, names[i ? 3 - f : f]);
            const struct utimbuf times = {1000 * i, 1000 * i};
            assert_int_equal(utime(name, &times), 0);
        }
    }
    write_file(in_dir("b/junk"), "another");
    CHECK_OK(hone_artifact_pack(in_dir("a"), in_dir("a.tar.gz")));
    CHECK_OK(hone_artifact_pack(in_dir("b"), in_dir("b.tar.gz")));
    assert_same_file(in_dir("a.tar.gz"), in_dir("b.tar.gz"));
}

static void test_artifact__packing_names_what_is_missing(void **state) {
    (void)state;
    CHECK_FAILS(hone_artifact_pack(in_dir("none"), in_dir("x.tar.gz")), HONE_E_NOT_FOUND,
                "no model folder");
    assert_int_equal(mkdir(in_dir("a"), 0755), 0);
    write_file(in_dir("a/config.json"), "{}");
    CHECK_FAILS(hone_artifact_pack(in_dir("a"), in_dir("x.tar.gz")), HONE_E_NOT_FOUND,
                "no model.safetensors");
    assert_false(hone_file_exists(in_dir("x.tar.gz")));
    assert_false(hone_file_exists(in_dir("x.tar.gz.part")));
    assert_int_equal(mkdir(in_dir("a/model.safetensors"), 0755), 0);
    CHECK_FAILS(hone_artifact_pack(in_dir("a"), in_dir("x.tar.gz")), HONE_E_INVALID,
                "model.safetensors in");
}

/* Archives as training scripts leave them. */
static void test_artifact__takes_the_model_out_of_what_is_around_it(void **state) {
    (void)state;
    static const tar_item root[] = {
        {.path = "checkpoint-500", .type = AE_IFDIR},
        {.path = "checkpoint-500/config.json", .text = "old"},
        {.path = "checkpoint-900/config.json", .text = "old"},
        {.path = "checkpoint-500/model.safetensors", .text = "old"},
        {.path = "./config.json", .text = "new"},
        {.path = "./model.safetensors", .text = "weights"},
        {.path = "./training_args.bin", .text = "pickle"},
        {.path = "code/inference.py", .text = "import os"},
        {.path = "code/deep/vocab.txt", .text = "no"},
    };
    tar_write(in_dir("root.tar.gz"), root, COUNT(root));
    CHECK_OK(hone_artifact_unpack(in_dir("root.tar.gz"), in_dir("root")));
    write_file(in_dir("want"), "new");
    assert_same_file(in_dir("want"), in_dir("root/config.json"));
    assert_int_equal(count_entries(in_dir("root")), 2);

    static const tar_item folder[] = {
        {.path = "model/", .type = AE_IFDIR},
        {.path = "model/config.json", .text = "{}"},
        {.path = "model//./model.safetensors", .text = "weights"},
        {.path = "logs/config.json.bak", .text = "no"},
    };
    tar_write(in_dir("folder.tar.gz"), folder, COUNT(folder));
    CHECK_OK(hone_artifact_unpack(in_dir("folder.tar.gz"), in_dir("folder")));
    assert_int_equal(count_entries(in_dir("folder")), 2);
}

static void test_artifact__hostile_archives_are_refused(void **state) {
    (void)state;
#define MODEL \
    {.path = "config.json", .text = "{}"}, { .path = "model.safetensors", .text = "w" }
    static const struct {
        tar_item items[4];
        size_t count;
        hone_code code;
        const char *words;
    } cases[] = {
        {{MODEL, {.path = "../evil", .text = "x"}}, 3, HONE_E_CORRUPT, "leads out"},
        {{MODEL, {.path = "a/../../vocab.txt", .text = "x"}}, 3, HONE_E_CORRUPT, "leads out"},
        {{MODEL, {.path = "/etc/evil", .text = "x"}}, 3, HONE_E_CORRUPT, "no relative path"},
        {{MODEL, {.path = "vocab.txt", .symlink = "/etc/passwd"}}, 3, HONE_E_CORRUPT, "link"},
        {{MODEL, {.path = "vocab.txt", .hardlink = "config.json"}}, 3, HONE_E_CORRUPT, "link"},
        {{MODEL, {.path = "a", .symlink = "/tmp"}, {.path = "a/config.json", .text = "x"}},
         4,
         HONE_E_CORRUPT,
         "link"},
        {{MODEL, {.path = "vocab.txt", .type = AE_IFIFO}}, 3, HONE_E_CORRUPT, "device"},
        {{MODEL, {.path = "config.json", .text = "again"}}, 3, HONE_E_CORRUPT, "twice"},
        {{{.path = "a/config.json", .text = "{}"}, {.path = "b/config.json", .text = "{}"}},
         2,
         HONE_E_CORRUPT,
         "several models"},
        {{{.path = "a/b/config.json", .text = "{}"}}, 1, HONE_E_NOT_FOUND, "no config.json"},
        {{{.path = "config.json", .text = "{}"}, {.path = "pytorch_model.bin", .text = "x"}},
         2,
         HONE_E_NOT_FOUND,
         "no model.safetensors"},
        {{{.path = "config.json", .type = AE_IFDIR}}, 1, HONE_E_NOT_FOUND, "no config.json"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        tar_write(in_dir("x.tar.gz"), cases[i].items, cases[i].count);
        CHECK_FAILS(hone_artifact_unpack(in_dir("x.tar.gz"), in_dir("out")), cases[i].code,
                    cases[i].words);
        assert_int_equal(count_entries(dir), 1); /* the archive itself: nothing half made */
        assert_false(hone_file_exists(in_dir("../evil")));
    }
}

static void test_artifact__too_many_entries_are_refused(void **state) {
    (void)state;
    enum { MANY = 5000 };
    static tar_item items[MANY];
    for (size_t i = 0; i < MANY; i++) items[i] = (tar_item){.path = "junk", .text = "x"};
    tar_write(in_dir("x.tar.gz"), items, MANY);
    CHECK_FAILS(hone_artifact_unpack(in_dir("x.tar.gz"), in_dir("out")), HONE_E_FULL, "entries");
}

static void test_artifact__broken_bytes_are_refused(void **state) {
    (void)state;
    CHECK_OK(hone_artifact_pack(GOLDEN("model/distilbert"), in_dir("model.tar.gz")));
    hone_map map;
    CHECK_OK(hone_map_open(in_dir("model.tar.gz"), &map));
    for (size_t len = 0; len < map.bytes.len; len += map.bytes.len / 16 + 1) {
        CHECK_OK(hone_file_save(in_dir("cut.tar.gz"), (hone_str){map.bytes.ptr, len}));
        hone_err err = hone_artifact_unpack(in_dir("cut.tar.gz"), in_dir("out"));
        assert_true(err.code == HONE_E_CORRUPT || err.code == HONE_E_NOT_FOUND);
        assert_false(hone_file_exists(in_dir("out")));
    }
    hone_map_close(&map);
    CHECK_FAILS(hone_artifact_unpack(GOLDEN("model/bert/config.json"), in_dir("out")),
                HONE_E_CORRUPT, "no readable model.tar.gz");
}

static hone_err pack_and_unpack(void *ctx) {
    (void)ctx;
    hone_err err = hone_artifact_pack(GOLDEN("model/distilbert"), in_dir("model.tar.gz"));
    if (!hone_failed(err)) err = hone_artifact_unpack(in_dir("model.tar.gz"), in_dir("out"));
    return err;
}

static void test_artifact__no_memory_and_a_full_disk_leave_nothing(void **state) {
    (void)state;
    assert_true(fault_sweep(pack_and_unpack, NULL) > 5);
    assert_int_equal(count_entries(in_dir("out")), 2);
}

static void test_artifact__sweep_deletes_what_nobody_needs(void **state) {
    (void)state;
#define HEX16 "0123456789abcdef"
#define HEX63 HEX16 HEX16 HEX16 "0123456789abcde"
    static const char *const names[] = {HEX63 "1", HEX63 "2",      HEX63 "1.tmp-12-0",
                                        "other",   HEX63 "1.lock", HEX63};
    static const char *const keep[] = {HEX63 "1"};
    static const bool stays[] = {true, false, false, true, true, true};
    for (size_t i = 0; i < COUNT(names); i++) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/config.json", names[i]);
        assert_int_equal(mkdir(in_dir(names[i]), 0755), 0);
        write_file(in_dir(path), "{}");
    }
    hone_artifact_sweep(dir, keep, COUNT(keep));
    for (size_t i = 0; i < COUNT(names); i++)
        assert_int_equal(hone_file_exists(in_dir(names[i])), stays[i]);
    hone_artifact_sweep(in_dir("none"), NULL, 0);
}

/* ---- the cache ---- */

static hone_db *db;
static hone_objects *objects;

static int open_store(void **state) {
    (void)make_dir(state);
    hone_tx *tx = NULL;
    CHECK_OK(hone_db_open(dir, &db));
    CHECK_OK(hone_objects_open(dir, db, &objects));
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    CHECK_OK(hone_objects_bucket_create(objects, tx, HONE_S("box")));
    CHECK_OK(hone_tx_commit(tx));
    return 0;
}

static int close_store(void **state) {
    hone_objects_close(objects);
    hone_db_close(db);
    return remove_dir(state);
}

/* Put the packed model at s3://box/key. */
static void put_model(const char *model, const char *key) {
    hone_staged staged;
    hone_tx *tx = NULL;
    CHECK_OK(hone_artifact_pack(model, in_dir("packed")));
    CHECK_OK(hone_objects_stage_file(objects, in_dir("packed"), true, &staged));
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    CHECK_OK(hone_objects_link(
        objects, tx,
        &(hone_object_put){.bucket = HONE_S("box"), .key = hone_str_of(key), .staged = &staged}));
    CHECK_OK(hone_tx_commit(tx));
}

/* The folder of s3://box/key, copied into out. */
static void open_model(const char *key, char out[256]) {
    hone_arena *arena = NULL;
    const char *folder = NULL;
    char uri[64];
    (void)snprintf(uri, sizeof uri, "s3://box/%s", key);
    CHECK_OK(hone_arena_create(1 << 20, &arena));
    CHECK_OK(hone_artifact_open(objects, arena, in_dir("models"), hone_str_of(uri), &folder));
    (void)snprintf(out, 256, "%s", folder);
    hone_arena_destroy(arena);
}

static void test_open__equal_contents_are_unpacked_once(void **state) {
    (void)state;
    char a[256], b[256], c[256];
    put_model(GOLDEN("model/bert"), "a/model.tar.gz");
    put_model(GOLDEN("model/bert"), "b/model.tar.gz");
    put_model(GOLDEN("model/distilbert"), "c/model.tar.gz");
    open_model("a/model.tar.gz", a);
    struct stat first, again;
    assert_int_equal(stat(a, &first), 0);
    open_model("b/model.tar.gz", b);
    open_model("c/model.tar.gz", c);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    assert_int_equal(stat(b, &again), 0);
    assert_int_equal(first.st_ino, again.st_ino);
    char weights[300];
    (void)snprintf(weights, sizeof weights, "%s/model.safetensors", c);
    assert_same_file(GOLDEN("model/distilbert/model.safetensors"), weights);
}

static void *open_in_thread(void *arg) {
    open_model("a/model.tar.gz", arg);
    return NULL;
}

static void test_open__many_openers_get_one_folder(void **state) {
    (void)state;
    enum { THREADS = 8 };
    static char folders[THREADS][256];
    pthread_t threads[THREADS];
    put_model(GOLDEN("model/bert"), "a/model.tar.gz");
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_in_thread, folders[i]), 0);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 1; i < THREADS; i++) assert_string_equal(folders[0], folders[i]);
    assert_int_equal(count_entries(in_dir("models")), 2); /* the folder and its lock */
}

static void test_open__says_what_is_wrong(void **state) {
    (void)state;
    hone_arena *arena = NULL;
    const char *folder = NULL;
    CHECK_OK(hone_arena_create(1 << 20, &arena));
    CHECK_FAILS(hone_artifact_open(objects, arena, in_dir("models"), HONE_S("s3://box/none.tar.gz"),
                                   &folder),
                HONE_E_NOT_FOUND, "s3://box/none.tar.gz");
    CHECK_OK(
        hone_objects_put(objects, HONE_S("box"), HONE_S("x.tar.gz"), HONE_S("nonsense"), NULL));
    CHECK_FAILS(
        hone_artifact_open(objects, arena, in_dir("models"), HONE_S("s3://box/x.tar.gz"), &folder),
        HONE_E_CORRUPT, "s3://box/x.tar.gz: no readable model.tar.gz");
    CHECK_FAILS(hone_artifact_open(objects, arena, in_dir("models"), HONE_S("file:x"), &folder),
                HONE_E_INVALID, "file:x");
    hone_arena_destroy(arena);
}

int main(void) {
#define STORE_CASE(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)
#define CASE(name)       cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        CASE(test_artifact__packed_and_unpacked_is_the_same),
        CASE(test_artifact__equal_folders_give_equal_bytes),
        CASE(test_artifact__packing_names_what_is_missing),
        CASE(test_artifact__takes_the_model_out_of_what_is_around_it),
        CASE(test_artifact__hostile_archives_are_refused),
        CASE(test_artifact__too_many_entries_are_refused),
        CASE(test_artifact__broken_bytes_are_refused),
        CASE(test_artifact__no_memory_and_a_full_disk_leave_nothing),
        CASE(test_artifact__sweep_deletes_what_nobody_needs),
        STORE_CASE(test_open__equal_contents_are_unpacked_once),
        STORE_CASE(test_open__many_openers_get_one_folder),
        STORE_CASE(test_open__says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
