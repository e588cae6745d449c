/* test_objects.c: an object and its row appear together, a replaced file goes after the commit and
 * not before, and what nobody names is swept at the next start and no earlier.
 *
 * The number of files under objects/ is compared with the number of rows throughout. */
#include "check.h"

#include "base/clock.h"
#include "store/objects.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

static char dir[64];
static hone_db *db;
static hone_objects *objects;
static hone_arena *arena;

static const hone_str bucket = {"data", 4};

static hone_tx *begin(hone_tx_kind kind) {
    hone_tx *tx = NULL;
    CHECK_OK(hone_tx_begin(db, kind, &tx));
    return tx;
}

static int set_up(void **state) {
    (void)state;
    (void)snprintf(dir, sizeof dir, "%s", check_tmpdir());
    CHECK_OK(hone_db_open(dir, &db));
    CHECK_OK(hone_objects_open(dir, db, &objects));
    CHECK_OK(hone_arena_create(16 << 20, &arena));
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(hone_objects_bucket_create(objects, tx, bucket));
    CHECK_OK(hone_tx_commit(tx));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    hone_arena_destroy(arena);
    hone_objects_close(objects);
    hone_db_close(db);
    check_rmtree(dir);
    hone_now_fix_ms(0);
    return 0;
}

static void restart(void) {
    hone_objects_close(objects);
    hone_db_close(db);
    CHECK_OK(hone_db_open(dir, &db));
    CHECK_OK(hone_objects_open(dir, db, &objects));
}

static int count_files(void) {
    char command[128], line[32] = "";
    (void)snprintf(command, sizeof command, "find '%s/objects' -type f | wc -l", dir);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(line, sizeof line, pipe));
    assert_int_equal(pclose(pipe), 0);
    return atoi(line);
}

static void put(const char *key, const char *text) {
    CHECK_OK(hone_objects_put(objects, bucket, hone_str_of(key), hone_str_of(text), "text/plain"));
}

static const char *load(const char *key) {
    hone_str bytes = {NULL, 0};
    CHECK_OK(hone_objects_load(objects, arena, bucket, hone_str_of(key), 1 << 20, &bytes));
    return bytes.ptr;
}

static hone_staged stage(const char *text) {
    hone_staged staged;
    CHECK_OK(hone_objects_stage(objects, hone_str_of(text), &staged));
    return staged;
}

static hone_err link_as(hone_tx *tx, const char *key, const hone_staged *staged) {
    hone_object_put p = {.bucket = bucket, .key = hone_str_of(key), .staged = staged};
    return hone_objects_link(objects, tx, &p);
}

static void test_objects__put_and_load_with_sums(void **state) {
    (void)state;
    hone_now_fix_ms(1795500000123);
    put("a/b", "hello");
    assert_string_equal(load("a/b"), "hello");
    hone_tx *tx = begin(HONE_TX_READ);
    hone_object object;
    CHECK_OK(hone_objects_find(objects, tx, arena, bucket, HONE_S("a/b"), &object));
    hone_tx_abort(tx);
    assert_int_equal(object.size_bytes, 5);
    assert_int_equal(object.modified_ms, 1795500000123);
    assert_string_equal(object.etag, "5d41402abc4b2a76b9719d911017c592");
    assert_string_equal(object.sha256,
                        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_string_equal(object.content_type.ptr, "text/plain");
    assert_string_equal(object.meta.ptr, "{}");
    struct stat st;
    assert_int_equal(stat(object.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_objects__empty_object(void **state) {
    (void)state;
    put("nothing", "");
    assert_string_equal(load("nothing"), "");
    restart();
    assert_string_equal(load("nothing"), "");
}

static void test_objects__missing_things_are_named(void **state) {
    (void)state;
    hone_str bytes;
    CHECK_FAILS(hone_objects_load(objects, arena, bucket, HONE_S("x"), 10, &bytes),
                HONE_E_NOT_FOUND, "no object 's3://data/x'");
    CHECK_FAILS(hone_objects_put(objects, HONE_S("other"), HONE_S("x"), HONE_S("y"), NULL),
                HONE_E_NOT_FOUND, "no bucket 'other'");
    assert_int_equal(count_files(), 0);
    put("x", "0123456789");
    CHECK_FAILS(hone_objects_load(objects, arena, bucket, HONE_S("x"), 9, &bytes), HONE_E_FULL,
                "at most 9");
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(hone_objects_delete(objects, tx, bucket, HONE_S("never there")));
    CHECK_OK(hone_tx_commit(tx));
}

static void test_link__replaced_file_goes_after_the_commit(void **state) {
    (void)state;
    put("k", "old");
    hone_object object;
    int fd = -1;
    CHECK_OK(hone_objects_open_fd(objects, arena, bucket, HONE_S("k"), &object, &fd));
    hone_staged staged = stage("new");
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(link_as(tx, "k", &staged));
    assert_int_equal(access(object.path, F_OK), 0);
    hone_tx_abort(tx);
    assert_string_equal(load("k"), "old");

    tx = begin(HONE_TX_WRITE);
    CHECK_OK(link_as(tx, "k", &staged));
    CHECK_OK(hone_tx_commit(tx));
    assert_int_equal(access(object.path, F_OK), -1);
    assert_string_equal(load("k"), "new");
    char bytes[4] = "";
    assert_int_equal(read(fd, bytes, 3), 3); /* who had it open keeps it */
    assert_string_equal(bytes, "old");
    (void)close(fd);
    assert_int_equal(count_files(), 1);
}

static void test_link__same_file_twice(void **state) {
    (void)state;
    hone_staged staged = stage("once");
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(link_as(tx, "k", &staged));
    CHECK_OK(link_as(tx, "k", &staged));
    CHECK_FAILS(link_as(tx, "other", &staged), HONE_E_CONFLICT, "file");
    CHECK_OK(hone_tx_commit(tx));
    assert_string_equal(load("k"), "once");
}

static void test_link__replaced_twice_in_one_transaction(void **state) {
    (void)state;
    put("k", "0");
    hone_staged one = stage("1"), two = stage("2");
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(link_as(tx, "k", &one));
    CHECK_OK(link_as(tx, "k", &two));
    CHECK_OK(hone_tx_commit(tx));
    assert_string_equal(load("k"), "2");
    assert_int_equal(count_files(), 1);
}

static void test_delete__takes_row_and_file(void **state) {
    (void)state;
    put("k", "x");
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(hone_objects_delete(objects, tx, bucket, HONE_S("k")));
    assert_int_equal(count_files(), 1);
    CHECK_OK(hone_tx_commit(tx));
    assert_int_equal(count_files(), 0);
}

static void test_link__bad_keys(void **state) {
    (void)state;
    char longest[HONE_KEY_MAX + 2];
    memset(longest, 'k', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    hone_staged staged = stage("x");
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_FAILS(link_as(tx, longest, &staged), HONE_E_INVALID, "1025");
    CHECK_FAILS(link_as(tx, "", &staged), HONE_E_INVALID, "1 to 1024");
    CHECK_FAILS(link_as(tx, "caf\xE9", &staged), HONE_E_INVALID, "UTF-8");
    hone_object_put nul = {.bucket = bucket, .key = HONE_S("a\0b"), .staged = &staged};
    CHECK_FAILS(hone_objects_link(objects, tx, &nul), HONE_E_INVALID, "UTF-8");
    longest[HONE_KEY_MAX] = '\0';
    CHECK_OK(link_as(tx, longest, &staged));
    CHECK_OK(hone_tx_commit(tx));
    put("../../../etc/passwd", "only a name");
    assert_string_equal(load("../../../etc/passwd"), "only a name");
}

static void test_sweep__only_what_nobody_names_and_only_at_the_start(void **state) {
    (void)state;
    put("kept", "x");
    hone_staged orphan = stage("orphan");
    assert_int_equal(count_files(), 2);
    restart();
    assert_int_equal(count_files(), 1);
    assert_string_equal(load("kept"), "x");

    hone_staged late = stage("late");
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(link_as(tx, "late", &late));
    CHECK_OK(hone_tx_commit(tx));
    orphan = stage("given up");
    hone_objects_unstage(objects, &orphan);
    assert_int_equal(count_files(), 2);
    restart();
    assert_string_equal(load("late"), "late");
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_stage_file__copies_or_takes(void **state) {
    (void)state;
    char path[96];
    (void)snprintf(path, sizeof path, "%s/file", dir);
    write_file(path, "hello");
    hone_staged copied, taken;
    CHECK_OK(hone_objects_stage_file(objects, path, false, &copied));
    assert_int_equal(access(path, F_OK), 0);
    CHECK_OK(hone_objects_stage_file(objects, path, true, &taken));
    assert_int_equal(access(path, F_OK), -1);
    assert_string_equal(copied.etag, "5d41402abc4b2a76b9719d911017c592");
    assert_string_equal(copied.etag, taken.etag);
    assert_string_equal(copied.sha256, taken.sha256);
    assert_int_equal(taken.size_bytes, 5);
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(link_as(tx, "copied", &copied));
    CHECK_OK(link_as(tx, "taken", &taken));
    CHECK_OK(hone_tx_commit(tx));
    assert_string_equal(load("copied"), "hello");
    assert_string_equal(load("taken"), "hello");
    CHECK_FAILS(hone_objects_stage_file(objects, path, false, &copied), HONE_E_NOT_FOUND, path);
    CHECK_FAILS(hone_objects_stage_file(objects, dir, true, &copied), HONE_E_INVALID, "no file");
}

static void test_stage_file__takes_from_another_disk(void **state) {
    (void)state;
    char path[64] = "/dev/shm/hone-test-XXXXXX";
    int fd = mkstemp(path);
    struct stat here, there;
    if (fd < 0 || fstat(fd, &there) != 0 || stat(dir, &here) != 0 || here.st_dev == there.st_dev)
        CHECK_SKIP("/dev/shm is no tmpfs of its own: rights are missing");
    (void)close(fd);
    write_file(path, "far away");
    hone_staged taken;
    CHECK_OK(hone_objects_stage_file(objects, path, true, &taken));
    assert_int_equal(access(path, F_OK), -1);
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(link_as(tx, "k", &taken));
    CHECK_OK(hone_tx_commit(tx));
    assert_string_equal(load("k"), "far away");
}

static void test_stage__full_disk_says_so(void **state) {
    (void)state;
    char target[96], command[256];
    (void)snprintf(target, sizeof target, "%s/full", dir);
    (void)mkdir(target, 0700);
    (void)snprintf(command, sizeof command,
                   "mount -t tmpfs -o size=2m,nr_inodes=1k tmpfs '%s' 2>/dev/null", target);
    if (system(command) != 0) CHECK_SKIP("tmpfs rights are missing");
    hone_db *small = NULL;
    hone_objects *few = NULL;
    hone_staged staged;
    CHECK_OK(hone_db_open(target, &small));
    CHECK_OK(hone_objects_open(target, small, &few));
    char *bytes = calloc(1, 8 << 20);
    CHECK_FAILS(hone_objects_stage(few, (hone_str){bytes, 8 << 20}, &staged), HONE_E_FULL,
                "no space left");

    /* Rows too: what was committed stays, the rest is refused, and work goes on afterwards. */
    hone_tx *tx = NULL;
    static const char *const steps[] = {"CREATE TABLE filler (bytes BLOB) STRICT"};
    CHECK_OK(hone_db_migrate(small, "filler", steps, 1));
    CHECK_OK(hone_tx_begin(small, HONE_TX_WRITE, &tx));
    hone_err err = HONE_OK;
    static const char insert[] = "INSERT INTO filler (bytes) VALUES (?)";
    err = hone_tx_exec(tx, insert, "b", (hone_str){bytes, 8 << 20});
    if (hone_failed(err))
        hone_tx_abort(tx);
    else
        err = hone_tx_commit(tx);
    assert_int_equal(err.code, HONE_E_FULL);
    assert_non_null(strstr(err.msg, "no space left"));
    CHECK_OK(hone_tx_begin(small, HONE_TX_WRITE, &tx));
    CHECK_OK(hone_tx_exec(tx, insert, "b", (hone_str){bytes, 8 << 10}));
    CHECK_OK(hone_tx_commit(tx));
    CHECK_OK(hone_tx_begin(small, HONE_TX_READ, &tx));
    int64_t n = 0;
    CHECK_OK(hone_tx_int(tx, &n, "SELECT sum(length(bytes)) FROM filler", ""));
    hone_tx_abort(tx);
    assert_int_equal(n, 8 << 10);
    free(bytes);
    hone_objects_close(few);
    hone_db_close(small);
    (void)snprintf(command, sizeof command, "umount '%s'", target);
    assert_int_equal(system(command), 0);
}

static size_t list(const char *prefix, const char *after, size_t limit, hone_object **out) {
    size_t count = 0;
    hone_tx *tx = begin(HONE_TX_READ);
    CHECK_OK(hone_objects_list(objects, tx, arena, bucket, hone_str_of(prefix), hone_str_of(after),
                               limit, out, &count));
    hone_tx_abort(tx);
    return count;
}

static void test_list__bytewise_with_prefix_and_start(void **state) {
    (void)state;
    static const char *const keys[] = {
        "a", "a/1", "a/10", "a/2", "a0", "b/\x7F", "b\x7F", "\xC3\xA9", "\xF4\x8F\xBF\xBF"};
    enum { KEYS = sizeof keys / sizeof keys[0] };
    for (size_t i = KEYS; i-- > 0;) put(keys[i], "x");
    hone_object *found = NULL;
    assert_int_equal(list("", "", 100, &found), KEYS);
    for (size_t i = 0; i < KEYS; i++) assert_string_equal(found[i].key.ptr, keys[i]);
    assert_int_equal(list("a/", "", 100, &found), 3);
    assert_int_equal(list("a/", "a/10", 100, &found), 1);
    assert_string_equal(found[0].key.ptr, "a/2");
    assert_int_equal(list("a", "", 2, &found), 2);
    assert_int_equal(list("b\x7F", "", 9, &found), 1);
    assert_int_equal(list("\xF4\x8F\xBF\xBF", "", 9, &found), 1);
    assert_int_equal(list("\xFF", "", 9, &found), 0);
    assert_int_equal(list("zzz", "", 9, &found), 0);
    assert_int_equal(list("%", "", 9, &found), 0);
}

static void test_bucket__names_and_life(void **state) {
    (void)state;
    static const char *const bad[] = {
        "ab",
        "Data",
        "-ab",
        "ab-",
        "a..b",
        "1.2.3.4",
        "xn--abc",
        "a_b",
        "x-s3alias",
        "a/b",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    hone_tx *tx = begin(HONE_TX_WRITE);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_FAILS(hone_objects_bucket_create(objects, tx, hone_str_of(bad[i])), HONE_E_INVALID,
                    bad[i]);
    CHECK_OK(hone_objects_bucket_create(objects, tx, HONE_S("1.2.3.x-y")));
    CHECK_FAILS(hone_objects_bucket_create(objects, tx, bucket), HONE_E_CONFLICT, "'data' exists");
    hone_bucket *buckets = NULL;
    size_t count = 0;
    CHECK_OK(hone_objects_buckets(tx, arena, &buckets, &count));
    assert_int_equal(count, 2);
    assert_string_equal(buckets[0].name.ptr, "1.2.3.x-y");
    assert_string_equal(buckets[1].name.ptr, "data");
    CHECK_OK(hone_tx_commit(tx));
    put("k", "x");
    tx = begin(HONE_TX_WRITE);
    CHECK_FAILS(hone_objects_bucket_delete(objects, tx, bucket), HONE_E_CONFLICT, "not empty");
    CHECK_OK(hone_objects_delete(objects, tx, bucket, HONE_S("k")));
    CHECK_OK(hone_objects_bucket_delete(objects, tx, bucket));
    CHECK_FAILS(hone_objects_bucket_delete(objects, tx, bucket), HONE_E_NOT_FOUND, "'data'");
    int64_t ms = 0;
    CHECK_FAILS(hone_objects_bucket_find(tx, bucket, &ms), HONE_E_NOT_FOUND, "'data'");
    CHECK_OK(hone_tx_commit(tx));
}

static void test_uri__parts(void **state) {
    (void)state;
    static const struct {
        const char *uri, *bucket, *key;
    } cases[] = {
        {"s3://data/a/b c", "data", "a/b c"},
        {"s3://data/", "data", ""},
        {"s3://data", "data", ""},
        {"s3://data//x", "data", "/x"},
        {"s3:/data/x", NULL, NULL},
        {"s3://", NULL, NULL},
        {"s3:///x", NULL, NULL},
        {"S3://data/x", NULL, NULL},
        {"", NULL, NULL},
        {"s3://Data/x", NULL, NULL},
        {"http://data/x", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_str name, key;
        hone_err err = hone_s3_uri_parse(hone_str_of(cases[i].uri), &name, &key);
        assert_int_equal(err.code, cases[i].bucket ? HONE_E_NONE : HONE_E_INVALID);
        if (!cases[i].bucket) continue;
        assert_true(hone_str_equal(name, hone_str_of(cases[i].bucket)));
        assert_true(hone_str_equal(key, hone_str_of(cases[i].key)));
    }
}

/* One thread replaces a key, others read it: each read is one of the values, whole. */
static atomic_bool is_over;

static void *read_on(void *arg) {
    (void)arg;
    hone_arena *own = NULL;
    if (hone_failed(hone_arena_create(1 << 20, &own))) return strdup("no arena");
    char *failed = NULL;
    for (bool last = false; !failed && !last;) {
        last = atomic_load(&is_over);
        hone_str bytes;
        hone_arena_reset(own);
        hone_err err = hone_objects_load(objects, own, bucket, HONE_S("k"), 4096, &bytes);
        if (hone_failed(err)) failed = strdup(err.msg);
        for (size_t i = 1; !failed && i < bytes.len; i++)
            if (bytes.ptr[i] != bytes.ptr[0]) failed = strdup("a mixed object");
    }
    hone_arena_destroy(own);
    return failed;
}

static void test_objects__readers_never_miss_a_key_that_is_replaced(void **state) {
    (void)state;
    enum { READERS = 4, ROUNDS = 200 };
    pthread_t threads[READERS];
    char text[1001] = "";
    atomic_store(&is_over, false);
    memset(text, '0', 1000);
    put("k", text);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, NULL), 0);
    for (int i = 0; i < ROUNDS; i++) {
        memset(text, '0' + i % 10, (size_t)(500 + i));
        text[500 + i] = '\0';
        put("k", text);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < READERS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        if (failed) fail_msg("a reader saw: %s", (char *)failed);
    }
    assert_int_equal(count_files(), 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_objects__put_and_load_with_sums),
        CASE(test_objects__empty_object),
        CASE(test_objects__missing_things_are_named),
        CASE(test_link__replaced_file_goes_after_the_commit),
        CASE(test_link__same_file_twice),
        CASE(test_link__replaced_twice_in_one_transaction),
        CASE(test_delete__takes_row_and_file),
        CASE(test_link__bad_keys),
        CASE(test_sweep__only_what_nobody_names_and_only_at_the_start),
        CASE(test_stage_file__copies_or_takes),
        CASE(test_stage_file__takes_from_another_disk),
        CASE(test_stage__full_disk_says_so),
        CASE(test_list__bytewise_with_prefix_and_start),
        CASE(test_bucket__names_and_life),
        CASE(test_uri__parts),
        CASE(test_objects__readers_never_miss_a_key_that_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
