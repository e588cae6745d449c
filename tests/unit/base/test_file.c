/* test_file.c: files and folders appear whole or not at all, and nothing else is touched.
 *
 * After every failure the folder is listed: no temporary may be left. The sweeps let each
 * allocation, write, fsync and rename fail in turn. */
#include "check.h"
#include "fault.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static char *dir;

/* dir/name, in one of a few slots, so that two can be used at once. */
static const char *at(const char *name) {
    static char slots[4][256];
    static unsigned next;
    char *slot = slots[next++ % 4];
    (void)snprintf(slot, sizeof slots[0], "%s/%s", dir, name);
    return slot;
}

static int set_up(void **state) {
    (void)state;
    dir = check_tmpdir();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    check_rmtree(dir);
    return 0;
}

static void save(const char *path, const char *text) {
    CHECK_OK(hone_file_save(path, hone_str_of(text)));
}

static void assert_file_is(const char *path, const char *want) {
    hone_map map;
    CHECK_OK(hone_map_open(path, &map));
    assert_true(hone_str_equal(map.bytes, hone_str_of(want)));
    hone_map_close(&map);
}

static size_t count_entries(const char *path) {
    DIR *folder = opendir(path);
    assert_non_null(folder);
    size_t count = 0;
    while (readdir(folder)) count++;
    (void)closedir(folder);
    return count - 2; /* . and .. */
}

static void make_model(const char *path, const char *weights) {
    char file[512];
    assert_int_equal(mkdir(path, 0777), 0);
    (void)snprintf(file, sizeof file, "%s/config.json", path);
    save(file, "{}");
    (void)snprintf(file, sizeof file, "%s/model.safetensors", path);
    save(file, weights);
}

/* A new folder at path with one file `weights`. */
static hone_err write_model(const char *path, const char *weights) {
    hone_newdir folder;
    char file[512];
    HONE_TRY(hone_newdir_begin(path, &folder));
    (void)snprintf(file, sizeof file, "%s/model.safetensors", folder.path);
    hone_err err = hone_file_save(file, hone_str_of(weights));
    (void)snprintf(file, sizeof file, "%s/config.json", folder.path);
    if (!hone_failed(err)) err = hone_file_save(file, HONE_S("{}"));
    if (!hone_failed(err)) return hone_newdir_commit(&folder);
    hone_newdir_abort(&folder);
    return err;
}

static void test_map__shows_the_bytes_of_the_file(void **state) {
    (void)state;
    hone_map map;
    save(at("a"), "hello");
    CHECK_OK(hone_map_open(at("a"), &map));
    assert_true(hone_str_equal(map.bytes, HONE_S("hello")));
    hone_map_release(&map);
    assert_true(hone_str_equal(map.bytes, HONE_S("hello"))); /* they come back from the file */
    hone_map_close(&map);
    hone_map_close(&map);

    save(at("empty"), "");
    CHECK_OK(hone_map_open(at("empty"), &map));
    assert_int_equal(map.bytes.len, 0);
    hone_map_release(&map);
    hone_map_close(&map);
}

static void test_map__what_is_no_file_is_refused(void **state) {
    (void)state;
    hone_map map;
    CHECK_FAILS(hone_map_open(at("absent"), &map), HONE_E_NOT_FOUND, "absent");
    CHECK_FAILS(hone_map_open(dir, &map), HONE_E_INVALID, "is no file");
    CHECK_FAILS(hone_map_open("/dev/null", &map), HONE_E_INVALID, "is no file");
    assert_int_equal(mkfifo(at("pipe"), 0666), 0); /* must not wait for a writer */
    CHECK_FAILS(hone_map_open(at("pipe"), &map), HONE_E_INVALID, "is no file");
    save(at("a"), "x");
    CHECK_FAILS(hone_map_open(at("a/b"), &map), HONE_E_NOT_FOUND, "a/b");
}

static void test_load__whole_file_within_the_limits(void **state) {
    (void)state;
    hone_arena *arena = NULL;
    hone_str got;
    CHECK_OK(hone_arena_create(1000, &arena));
    save(at("a"), "hello");
    CHECK_OK(hone_file_load(arena, at("a"), 5, &got));
    assert_true(hone_str_equal(got, HONE_S("hello")));
    assert_int_equal(got.ptr[5], '\0');
    CHECK_FAILS(hone_file_load(arena, at("a"), 4, &got), HONE_E_FULL, "at most 4");
    CHECK_FAILS(hone_file_load(arena, at("absent"), 5, &got), HONE_E_NOT_FOUND, "absent");
    CHECK_FAILS(hone_file_load(arena, dir, 5, &got), HONE_E_INVALID, "is no file");
    char big[2000];
    memset(big, 'x', sizeof big);
    CHECK_OK(hone_file_save(at("big"), (hone_str){big, sizeof big}));
    CHECK_FAILS(hone_file_load(arena, at("big"), 5000, &got), HONE_E_NOMEM, "big");
    hone_arena_destroy(arena);
}

static void test_path__join_and_exists(void **state) {
    (void)state;
    hone_arena *arena = NULL;
    CHECK_OK(hone_arena_create(4096, &arena));
    save(at("a"), "");
    assert_string_equal(hone_path_join(arena, "x/y", "z"), "x/y/z");
    assert_true(hone_file_exists(hone_path_join(arena, dir, "a")));
    assert_false(hone_file_exists(hone_path_join(arena, dir, "b")));
    hone_arena_destroy(arena);
}

static void test_save__replaces_in_one_step(void **state) {
    (void)state;
    save(at("a"), "one");
    hone_map old;
    CHECK_OK(hone_map_open(at("a"), &old));
    const hone_str parts[] = {HONE_S("tw"), {NULL, 0}, HONE_S("o")};
    CHECK_OK(hone_file_save_parts(at("a"), parts, 3));
    assert_file_is(at("a"), "two");
    assert_true(hone_str_equal(old.bytes, HONE_S("one"))); /* a reader keeps what it opened */
    hone_map_close(&old);
    assert_int_equal(count_entries(dir), 1);
}

static void test_save__modes_follow_the_umask(void **state) {
    (void)state;
    static const mode_t masks[] = {022, 077};
    for (size_t i = 0; i < 2; i++) {
        struct stat st;
        mode_t before = umask(masks[i]);
        save(at("a"), "x");
        CHECK_OK(write_model(at("m"), "w"));
        (void)umask(before);
        assert_int_equal(stat(at("a"), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0666 & ~masks[i]);
        assert_int_equal(stat(at("m"), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0777 & ~masks[i]);
    }
}

static void test_save__failure_leaves_nothing_behind(void **state) {
    (void)state;
    CHECK_FAILS(hone_file_save(at("absent/a"), HONE_S("x")), HONE_E_NOT_FOUND, "absent/a");
    CHECK_FAILS(hone_file_save("/proc/hone-test", HONE_S("x")), HONE_E_NOT_FOUND, "/proc");
    assert_int_equal(mkdir(at("folder"), 0777), 0);
    CHECK_FAILS(hone_file_save(at("folder"), HONE_S("x")), HONE_E_IO, "rename to");
    assert_int_equal(count_entries(dir), 1);
}

static void test_save__takes_another_name_when_one_is_left_over(void **state) {
    (void)state;
    char name[64];
    (void)snprintf(name, sizeof name, "a.tmp-%ld-0", (long)getpid());
    save(at(name), "of a killed process");
    save(at("a"), "x");
    assert_file_is(at("a"), "x");
    assert_file_is(at(name), "of a killed process");
}

static hone_err save_again(void *ctx) {
    (void)ctx;
    return hone_file_save(at("a"), HONE_S("new"));
}

static void test_save__survives_every_failed_call(void **state) {
    (void)state;
    for (size_t n = 1;; n++) {
        save(at("a"), "old");
        fault_arm(n);
        hone_err err = save_again(NULL);
        if (!fault_disarm()) break;
        assert_true(hone_failed(err));
        hone_map map;
        CHECK_OK(hone_map_open(at("a"), &map));
        assert_true(hone_str_equal(map.bytes, HONE_S("old")) ||
                    hone_str_equal(map.bytes, HONE_S("new")));
        hone_map_close(&map);
        assert_int_equal(count_entries(dir), 1);
    }
    assert_true(fault_sweep(save_again, NULL) >= 5); /* name, write, fsync, rename, fsync */
}

static void test_copy__is_a_new_file(void **state) {
    (void)state;
    hone_map map;
    save(at("from"), "all of it");
    CHECK_OK(hone_file_copy(at("from"), at("to"), 0600));
    CHECK_OK(hone_map_open(at("to"), &map));
    assert_true(hone_str_equal(map.bytes, HONE_S("all of it")));
    hone_map_close(&map);
    CHECK_FAILS(hone_file_copy(at("from"), at("to"), 0600), HONE_E_IO, "create");
    CHECK_FAILS(hone_file_copy(at("absent"), at("other"), 0600), HONE_E_NOT_FOUND, "absent");
}

/* What a caller can do about it is the code, and one sentence the reason. */
static void test_err__tells_a_full_disk_from_what_is_not_there(void **state) {
    (void)state;
    static const struct {
        int number;
        hone_code code;
        const char *why;
    } cases[] = {{ENOSPC, HONE_E_FULL, "no space left on the disk"},
                 {EDQUOT, HONE_E_FULL, "no space left on the disk"},
                 {ENOENT, HONE_E_NOT_FOUND, "No such file"},
                 {ENOTDIR, HONE_E_NOT_FOUND, "Not a directory"},
                 {EACCES, HONE_E_IO, "Permission denied"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        errno = cases[i].number;
        hone_err err = hone_file_err("write", "/a/b");
        CHECK_FAILS(err, cases[i].code, "write '/a/b': ");
        assert_non_null(strstr(err.msg, cases[i].why));
    }
}

static void test_newdir__appears_on_commit(void **state) {
    (void)state;
    hone_newdir folder;
    CHECK_OK(hone_newdir_begin(at("m///"), &folder));
    assert_false(hone_file_exists(at("m")));
    char file[512];
    (void)snprintf(file, sizeof file, "%s/config.json", folder.path);
    FILE *plain = fopen(file, "w"); /* also what hone_file_save did not write */
    assert_non_null(plain);
    (void)fputs("{}", plain);
    (void)fclose(plain);
    CHECK_OK(hone_newdir_commit(&folder));
    assert_null(folder.path);
    assert_file_is(at("m/config.json"), "{}");
    assert_int_equal(count_entries(dir), 1);
    hone_newdir_abort(&folder); /* after commit: nothing */
    assert_file_is(at("m/config.json"), "{}");
}

static void test_newdir__abort_leaves_nothing(void **state) {
    (void)state;
    hone_newdir folder;
    CHECK_OK(hone_newdir_begin(at("m"), &folder));
    char file[512];
    (void)snprintf(file, sizeof file, "%s/x", folder.path);
    save(file, "x");
    hone_newdir_abort(&folder);
    hone_newdir_abort(&folder);
    assert_int_equal(count_entries(dir), 0);
}

static void test_newdir__replaces_a_model_and_an_empty_folder(void **state) {
    (void)state;
    make_model(at("m"), "old");
    save(at("m/only_in_old"), "x");
    CHECK_OK(write_model(at("m"), "new"));
    assert_file_is(at("m/model.safetensors"), "new");
    assert_false(hone_file_exists(at("m/only_in_old")));

    assert_int_equal(mkdir(at("empty"), 0777), 0);
    CHECK_OK(write_model(at("empty"), "new"));
    assert_file_is(at("empty/model.safetensors"), "new");
    assert_int_equal(count_entries(dir), 2);
}

static void test_newdir__refuses_what_is_not_ours(void **state) {
    (void)state;
    hone_newdir folder;
    assert_int_equal(mkdir(at("thesis"), 0777), 0);
    save(at("thesis/chapter1.tex"), "years of work");
    CHECK_FAILS(hone_newdir_begin(at("thesis"), &folder), HONE_E_CONFLICT, "is no model folder");
    save(at("file"), "x");
    CHECK_FAILS(hone_newdir_begin(at("file"), &folder), HONE_E_CONFLICT, "is no model folder");
    make_model(at("project"), "w"); /* a config.json alone does not make everything ours */
    assert_int_equal(mkdir(at("project/src"), 0777), 0);
    CHECK_FAILS(hone_newdir_begin(at("project"), &folder), HONE_E_CONFLICT, "folders of its own");
    assert_file_is(at("thesis/chapter1.tex"), "years of work");
    assert_file_is(at("file"), "x");
    assert_file_is(at("project/model.safetensors"), "w");
    assert_int_equal(count_entries(dir), 3);
}

static void test_newdir__refuses_what_came_in_between(void **state) {
    (void)state;
    hone_newdir folder;
    CHECK_OK(hone_newdir_begin(at("m"), &folder));
    assert_int_equal(mkdir(at("m"), 0777), 0);
    save(at("m/chapter1.tex"), "years of work");
    CHECK_FAILS(hone_newdir_commit(&folder), HONE_E_CONFLICT, "is no model folder");
    assert_file_is(at("m/chapter1.tex"), "years of work");
    assert_int_equal(count_entries(dir), 1);
}

static void test_newdir__follows_a_link_and_keeps_it(void **state) {
    (void)state;
    make_model(at("target"), "old");
    assert_int_equal(symlink("target", at("link")), 0);
    CHECK_OK(write_model(at("link"), "new"));
    struct stat st;
    assert_int_equal(lstat(at("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_file_is(at("target/model.safetensors"), "new");
    assert_int_equal(count_entries(dir), 2);
}

static void test_newdir__unwritable_place_is_named(void **state) {
    (void)state;
    hone_newdir folder;
    CHECK_FAILS(hone_newdir_begin(at("absent/m"), &folder), HONE_E_NOT_FOUND, "absent/m");
    CHECK_FAILS(hone_newdir_begin("/proc/m", &folder), HONE_E_NOT_FOUND, "/proc/m");

    assert_int_equal(mkdir(at("locked"), 0555), 0);
    bool is_root = geteuid() == 0; /* who may write anywhere: be nobody for a while */
    if (is_root) assert_int_equal(chmod(dir, 0755), 0);
    if (is_root && seteuid(65534) != 0) CHECK_SKIP("root may not become another user");
    hone_err err = hone_newdir_begin(at("locked/m"), &folder);
    hone_err save_err = hone_file_save(at("locked/f"), HONE_S("x"));
    if (is_root) assert_int_equal(seteuid(0), 0);
    CHECK_FAILS(err, HONE_E_IO, "Permission denied");
    CHECK_FAILS(save_err, HONE_E_IO, "Permission denied");
}

static hone_err replace_model(void *ctx) {
    (void)ctx;
    return write_model(at("m"), "new");
}

/* Whatever fails: the old or the new model stands there, complete, and nothing beside it. */
static void test_newdir__survives_every_failed_call(void **state) {
    (void)state;
    for (size_t n = 1;; n++) {
        char command[512];
        (void)snprintf(command, sizeof command, "rm -rf '%s'", at("m"));
        assert_int_equal(system(command), 0);
        make_model(at("m"), "old");
        fault_arm(n);
        hone_err err = replace_model(NULL);
        if (!fault_disarm()) break;
        assert_true(hone_failed(err));
        hone_map map;
        CHECK_OK(hone_map_open(at("m/model.safetensors"), &map));
        assert_true(hone_str_equal(map.bytes, HONE_S("old")) ||
                    hone_str_equal(map.bytes, HONE_S("new")));
        hone_map_close(&map);
        assert_int_equal(count_entries(at("m")), 2);
        assert_int_equal(count_entries(dir), 1);
    }
    assert_true(fault_sweep(replace_model, NULL) >= 15);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(test_map__shows_the_bytes_of_the_file),
        TEST(test_map__what_is_no_file_is_refused),
        TEST(test_load__whole_file_within_the_limits),
        TEST(test_path__join_and_exists),
        TEST(test_save__replaces_in_one_step),
        TEST(test_save__modes_follow_the_umask),
        TEST(test_save__failure_leaves_nothing_behind),
        TEST(test_save__takes_another_name_when_one_is_left_over),
        TEST(test_save__survives_every_failed_call),
        TEST(test_copy__is_a_new_file),
        TEST(test_err__tells_a_full_disk_from_what_is_not_there),
        TEST(test_newdir__appears_on_commit),
        TEST(test_newdir__abort_leaves_nothing),
        TEST(test_newdir__replaces_a_model_and_an_empty_folder),
        TEST(test_newdir__refuses_what_is_not_ours),
        TEST(test_newdir__refuses_what_came_in_between),
        TEST(test_newdir__follows_a_link_and_keeps_it),
        TEST(test_newdir__unwritable_place_is_named),
        TEST(test_newdir__survives_every_failed_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
