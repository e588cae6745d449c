/* test_packed.c: packed weights in a file: what was saved comes back, and what is not exactly
 * that is as good as nothing.
 *
 * A file is saved into a folder of its own and then changed in every way that a disk, a stranger
 * or another version could. The limit of the folder is tested with sparse files. */
#include "check.h"
#include "fault.h"

#include "base/hash.h"
#include "model/packed.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

enum { WEIGHTS = 3 << 20, SMALL = 4096 }; /* more than one piece of the sum; a quick sweep */

static const hone_str key = {"weights 1:2 3 4.5 6.7\nisa none\n", 31};
static char weights[WEIGHTS];
static hone_pool *pool;
static char *dir;

static int set_up(void **state) {
    (void)state;
    for (size_t i = 0; i < WEIGHTS; i++) weights[i] = (char)(i * 2654435761U >> 13);
    CHECK_OK(hone_pool_create(2, &pool));
    dir = check_tmpdir();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    check_rmtree(dir);
    hone_pool_destroy(pool);
    return 0;
}

static void save(size_t size_bytes) {
    CHECK_OK(hone_packed_save(dir, key, (hone_str){weights, size_bytes}));
}

static const char *path_of_file(void) {
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%016llx.packed", dir,
                   (unsigned long long)hone_hash(0, key));
    return path;
}

static hone_err look(size_t size_bytes) {
    hone_map map;
    hone_str found;
    HONE_TRY(hone_packed_open(dir, key, size_bytes, pool, &map, &found));
    assert_int_equal(found.len, size_bytes);
    assert_memory_equal(found.ptr, weights, size_bytes);
    hone_map_close(&map);
    return HONE_OK;
}

static int open_file(int flags) {
    int fd = open(path_of_file(), flags | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static size_t count_files(void) {
    size_t count = 0;
    DIR *folder = opendir(dir);
    assert_non_null(folder);
    for (const struct dirent *e; (e = readdir(folder));) count += e->d_name[0] != '.';
    (void)closedir(folder);
    return count;
}

static void test_packed__comes_back(void **state) {
    (void)state;
    struct stat st;
    CHECK_FAILS(look(WEIGHTS), HONE_E_NOT_FOUND, dir);
    save(WEIGHTS);
    CHECK_OK(look(WEIGHTS));
    assert_int_equal(stat(path_of_file(), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    save(WEIGHTS); /* another process had the same idea */
    CHECK_OK(look(WEIGHTS));
    assert_int_equal(count_files(), 1);
}

static void test_packed__folder_is_made(void **state) {
    (void)state;
    char below[256];
    hone_map map;
    hone_str found;
    (void)snprintf(below, sizeof below, "%s/a/b", dir);
    CHECK_OK(hone_packed_save(below, key, (hone_str){weights, SMALL}));
    CHECK_OK(hone_packed_open(below, key, SMALL, pool, &map, &found));
    hone_map_close(&map);
    (void)snprintf(below, sizeof below, "%s/file", dir);
    (void)close(open(below, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    CHECK_FAILS(hone_packed_save(below, key, (hone_str){weights, SMALL}), HONE_E_NOT_FOUND, below);
}

static void test_packed__stays_readable_when_it_is_deleted(void **state) {
    (void)state;
    hone_map map;
    hone_str found;
    save(WEIGHTS);
    CHECK_OK(hone_packed_open(dir, key, WEIGHTS, pool, &map, &found));
    assert_int_equal(unlink(path_of_file()), 0);
    assert_memory_equal(found.ptr, weights, WEIGHTS);
    hone_map_close(&map);
}

static void test_packed__is_not_taken_for_another(void **state) {
    (void)state;
    hone_map map;
    hone_str found;
    save(WEIGHTS);
    CHECK_FAILS(hone_packed_open(dir, HONE_S("another"), WEIGHTS, pool, &map, &found),
                HONE_E_NOT_FOUND, dir);
    CHECK_FAILS(look(WEIGHTS - 64), HONE_E_CORRUPT, "another size");
    /* another key whose sum is the same: as if its file were ours */
    char named[256];
    hone_str other = HONE_S("another");
    (void)snprintf(named, sizeof named, "%s/%016llx.packed", dir,
                   (unsigned long long)hone_hash(0, other));
    assert_int_equal(rename(path_of_file(), named), 0);
    CHECK_FAILS(hone_packed_open(dir, other, WEIGHTS, pool, &map, &found), HONE_E_NOT_FOUND,
                "other weights");
}

static void test_packed__one_changed_byte_is_seen(void **state) {
    (void)state;
    static const off_t places[] = {0,
                                   7,
                                   8,
                                   16,
                                   23,
                                   24,
                                   31,
                                   32,
                                   39,
                                   40,
                                   70,
                                   4096,
                                   4097,
                                   4096 + (1 << 20),
                                   4096 + (2 << 20) - 1,
                                   4096 + WEIGHTS - 1};
    save(WEIGHTS);
    int fd = open_file(O_RDWR);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        for (int bit = 0; bit < 8; bit += 7) {
            char was, is;
            assert_int_equal(pread(fd, &was, 1, places[i]), 1);
            is = (char)(was ^ (1 << bit));
            assert_int_equal(pwrite(fd, &is, 1, places[i]), 1);
            CHECK_FAILS(look(WEIGHTS), HONE_E_CORRUPT, "");
            assert_int_equal(pwrite(fd, &was, 1, places[i]), 1);
            CHECK_OK(look(WEIGHTS));
        }
    (void)close(fd);
}

static void test_packed__exchanged_pieces_are_seen(void **state) {
    (void)state;
    static char one[1 << 20], two[1 << 20];
    save(WEIGHTS);
    int fd = open_file(O_RDWR);
    assert_int_equal(pread(fd, one, sizeof one, 4096), sizeof one);
    assert_int_equal(pread(fd, two, sizeof two, 4096 + (1 << 20)), sizeof two);
    assert_int_equal(pwrite(fd, two, sizeof two, 4096), sizeof two);
    assert_int_equal(pwrite(fd, one, sizeof one, 4096 + (1 << 20)), sizeof one);
    CHECK_FAILS(look(WEIGHTS), HONE_E_CORRUPT, "sum of its weights");
    (void)close(fd);
}

static void test_packed__another_length_is_seen(void **state) {
    (void)state;
    static const off_t lengths[] = {0, 1, 40, 4095, 4096, 4097, 4096 + WEIGHTS - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        save(WEIGHTS);
        assert_int_equal(truncate(path_of_file(), lengths[i]), 0);
        CHECK_FAILS(look(WEIGHTS), HONE_E_CORRUPT, "another size");
    }
    save(WEIGHTS);
    assert_int_equal(truncate(path_of_file(), 4096 + WEIGHTS + 1), 0);
    CHECK_FAILS(look(WEIGHTS), HONE_E_CORRUPT, "another size");
    CHECK_FAILS(look(WEIGHTS + 1), HONE_E_CORRUPT, "it was cut"); /* the size itself is held */
}

static void test_packed__of_strangers_is_refused(void **state) {
    (void)state;
    char moved[256];
    save(SMALL);
    assert_int_equal(chmod(path_of_file(), 0620), 0);
    CHECK_FAILS(look(SMALL), HONE_E_INVALID, "this user alone");
    assert_int_equal(chmod(path_of_file(), 0602), 0);
    CHECK_FAILS(look(SMALL), HONE_E_INVALID, "this user alone");
    assert_int_equal(chmod(path_of_file(), 0600), 0);
    (void)snprintf(moved, sizeof moved, "%s/moved", dir);
    assert_int_equal(rename(path_of_file(), moved), 0);
    assert_int_equal(symlink(moved, path_of_file()), 0);
    CHECK_FAILS(look(SMALL), HONE_E_IO, "open");
    assert_int_equal(unlink(path_of_file()), 0);
    assert_int_equal(mkfifo(path_of_file(), 0600), 0);
    CHECK_FAILS(look(SMALL), HONE_E_INVALID, "this user alone");
}

static void test_packed__of_another_user_is_refused(void **state) {
    (void)state;
    if (geteuid() != 0) CHECK_SKIP("only root can give files away");
    save(SMALL);
    assert_int_equal(chown(path_of_file(), 12345, (gid_t)-1), 0);
    CHECK_FAILS(look(SMALL), HONE_E_INVALID, "this user alone");
    save(SMALL); /* but replaced */
    CHECK_OK(look(SMALL));
}

/* A sparse file of that size, last used at that second. */
static void put_file(const char *name, off_t size_bytes, time_t used_s) {
    char path[256];
    const struct timespec times[2] = {{used_s, 0}, {used_s, 0}};
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size_bytes), 0);
    assert_int_equal(futimens(fd, times), 0);
    (void)close(fd);
}

static bool is_there(const char *name) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

static void test_packed__longest_unused_go_above_the_limit(void **state) {
    (void)state;
    off_t most = HONE_PACKED_FOLDER_BYTES;
    time_t now = time(NULL);
    put_file("0000000000000001.packed", most / 2, 1000);
    put_file("0000000000000002.packed", most / 2 - 2 * SMALL, 3000);
    put_file("0000000000000003.packed", SMALL, 2000);
    put_file("0000000000000004.packed-AbCdEf", SMALL, 1000);      /* left by the dead */
    put_file("0000000000000005.packed-AbCdEf", SMALL, now - 100); /* perhaps not */
    put_file("notes.txt", most, 500);                             /* none of ours */
    save(SMALL);
    assert_false(is_there("0000000000000001.packed"));
    assert_true(is_there("0000000000000002.packed"));
    assert_true(is_there("0000000000000003.packed"));
    assert_false(is_there("0000000000000004.packed-AbCdEf"));
    assert_true(is_there("0000000000000005.packed-AbCdEf"));
    assert_true(is_there("notes.txt"));
    CHECK_OK(look(SMALL));
}

static void test_packed__use_makes_young(void **state) {
    (void)state;
    struct stat st;
    const struct timespec times[2] = {{1000, 0}, {1000, 0}};
    save(SMALL);
    assert_int_equal(utimensat(AT_FDCWD, path_of_file(), times, 0), 0);
    CHECK_OK(look(SMALL));
    assert_int_equal(stat(path_of_file(), &st), 0);
    assert_true(st.st_mtim.tv_sec > 1000);
}

static hone_err save_and_look(void *ctx) {
    (void)ctx;
    hone_err err = hone_packed_save(dir, key, (hone_str){weights, SMALL});
    if (!hone_failed(err)) err = look(SMALL);
    (void)unlink(path_of_file());
    assert_int_equal(count_files(), 0); /* nothing half-written */
    return err;
}

static void test_packed__failures_leave_nothing(void **state) {
    (void)state;
    assert_true(fault_sweep(save_and_look, NULL) >= 4); /* two sums, two writes, the rename */
}

static void test_packed__too_long_a_key_is_refused(void **state) {
    (void)state;
    hone_str longer = {weights, HONE_PACKED_KEY_MAX + 1};
    CHECK_FAILS(hone_packed_save(dir, longer, (hone_str){weights, SMALL}), HONE_E_INVALID, "key");
    longer.len--;
    CHECK_OK(hone_packed_save(dir, longer, (hone_str){weights, SMALL}));
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_packed__comes_back),
        IN_FOLDER(test_packed__folder_is_made),
        IN_FOLDER(test_packed__stays_readable_when_it_is_deleted),
        IN_FOLDER(test_packed__is_not_taken_for_another),
        IN_FOLDER(test_packed__one_changed_byte_is_seen),
        IN_FOLDER(test_packed__exchanged_pieces_are_seen),
        IN_FOLDER(test_packed__another_length_is_seen),
        IN_FOLDER(test_packed__of_strangers_is_refused),
        IN_FOLDER(test_packed__of_another_user_is_refused),
        IN_FOLDER(test_packed__longest_unused_go_above_the_limit),
        IN_FOLDER(test_packed__use_makes_young),
        IN_FOLDER(test_packed__failures_leave_nothing),
        IN_FOLDER(test_packed__too_long_a_key_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
