/* test_crash_layer.c: the disk that forgets (tests/crash/layer.c) forgets what was not synced and
 * nothing else; and what the store says is committed survives it.
 *
 * The program runs itself under the layer, lets that process do one of `deeds` and kill itself, takes
 * back what was not synced, and looks at the folder. */
#include "check.h"

#include "base/file.h"
#include "store/journal.h"
#include "store/objects.h"

#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char dir[64];
static char folder[PATH_MAX]; /* of this program */

static const char *at(const char *name) {
    static char slots[4][128];
    static unsigned next;
    char *slot = slots[next++ % 4];
    (void)snprintf(slot, sizeof slots[0], "%s/data/%s", dir, name);
    return slot;
}

/* --- deeds, done under the layer ---------------------------------------------------- */

static void must(bool ok) {
    if (!ok) _exit(3);
}

static void must_ok(hone_err err) {
    if (!hone_failed(err)) return;
    (void)fprintf(stderr, "%s\n", err.msg);
    _exit(3);
}

static int fd_of(const char *name, int flags) {
    int fd = open(at(name), flags | O_CLOEXEC, 0600);
    must(fd >= 0);
    return fd;
}

static void put_text(int fd, const char *text) {
    must(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void sync_dir(const char *name) {
    int fd = open(at(name), O_RDONLY | O_DIRECTORY);
    must(fd >= 0 && fsync(fd) == 0);
    (void)close(fd);
}

/* Before the death: files `old` ("old text") and `doomed`, all synced. */
static void make_old(void) {
    int fd = fd_of("old", O_RDWR | O_CREAT);
    put_text(fd, "old text");
    must(fsync(fd) == 0);
    fd = fd_of("doomed", O_WRONLY | O_CREAT);
    put_text(fd, "doomed");
    must(fsync(fd) == 0);
    sync_dir("");
}

static void do_bytes(void) {
    make_old();
    int fd = fd_of("old", O_RDWR);
    must(pwrite(fd, "NEW", 3, 0) == 3);
    must(pwrite(fd, "way beyond", 10, 100) == 10);
    must(ftruncate(fd, 2) == 0);
    put_text(fd, "again");
}

static void do_synced_bytes(void) {
    make_old();
    int fd = fd_of("old", O_RDWR);
    must(pwrite(fd, "NEW", 3, 0) == 3);
    must(fdatasync(fd) == 0);
    must(pwrite(fd, "lost", 4, 0) == 4);
}

static void do_truncated_open(void) {
    make_old();
    put_text(fd_of("old", O_WRONLY | O_TRUNC), "x");
}

static void do_unsynced_name(void) {
    make_old();
    int fd = fd_of("new", O_WRONLY | O_CREAT);
    put_text(fd, "new");
    must(fsync(fd) == 0); /* its bytes, not its name */
}

static void do_unsynced_bytes_under_a_synced_name(void) {
    make_old();
    put_text(fd_of("new.tmp", O_WRONLY | O_CREAT), "new");
    must(rename(at("new.tmp"), at("new")) == 0);
    sync_dir("");
}

static void do_rename(void) {
    make_old();
    must(rename(at("doomed"), at("old")) == 0);
}

static void do_delete(void) {
    make_old();
    must(unlink(at("doomed")) == 0);
}

static void do_folders(void) {
    make_old();
    must(mkdir(at("kept"), 0700) == 0);
    sync_dir("");
    must(mkdir(at("lost"), 0700) == 0);
    (void)fd_of("lost/file", O_WRONLY | O_CREAT);
    sync_dir("lost");
    (void)fd_of("kept/lost", O_WRONLY | O_CREAT);
}

static void do_save(void) {
    make_old();
    must_ok(hone_file_save(at("old"), HONE_S("saved")));
    put_text(fd_of("old", O_WRONLY), "lost");
}

/* The same in a child of the child. */
static void do_in_child(void) {
    make_old();
    pid_t child = fork();
    if (child == 0) {
        put_text(fd_of("old", O_WRONLY), "lost");
        _exit(0);
    }
    must(waitpid(child, NULL, 0) == child);
}

enum { ROWS = 20 };

static void do_store(void) {
    hone_db *db = NULL;
    hone_objects *objects = NULL;
    must_ok(hone_db_open(at(""), &db));
    must_ok(hone_objects_open(at(""), db, &objects));
    hone_tx *tx = NULL;
    must_ok(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    must_ok(hone_tx_finish(tx, hone_objects_bucket_create(objects, tx, HONE_S("data"))));
    for (int i = 0; i < ROWS; i++) {
        char key[16], text[16];
        (void)snprintf(key, sizeof key, "key-%02d", i / 2);
        (void)snprintf(text, sizeof text, "text %d", i);
        must_ok(
            hone_objects_put(objects, HONE_S("data"), hone_str_of(key), hone_str_of(text), NULL));
        must_ok(hone_tx_begin(db, HONE_TX_WRITE, &tx));
        must_ok(hone_tx_finish(tx, hone_journal_append(tx, "system", "x.made", key, NULL)));
    }
    must_ok(hone_tx_begin(db, HONE_TX_WRITE, &tx)); /* under way when the lights go out */
    must_ok(hone_journal_append(tx, "system", "x.lost", "lost", NULL));
    hone_staged staged;
    must_ok(hone_objects_stage(objects, HONE_S("orphan"), &staged));
}

/* What would be lost if SQLite did not sync: the layer has teeth. */
static void do_careless_store(void) {
    sqlite3 *sql = NULL;
    hone_db *db = NULL;
    must_ok(hone_db_open(at(""), &db));
    hone_db_close(db);
    must(sqlite3_open(at("hone.db"), &sql) == SQLITE_OK);
    must(sqlite3_exec(sql,
                      "PRAGMA synchronous=OFF;"
                      "INSERT INTO journal (when_ms, kind, subject, actor, detail)"
                      " VALUES (1, 'x.made', 'x', 'x', '{}')",
                      NULL, NULL, NULL) == SQLITE_OK);
}

static const struct deed {
    const char *name;
    void (*run)(void);
} deeds[] = {
    {"bytes", do_bytes},
    {"synced bytes", do_synced_bytes},
    {"truncated open", do_truncated_open},
    {"unsynced name", do_unsynced_name},
    {"unsynced bytes", do_unsynced_bytes_under_a_synced_name},
    {"rename", do_rename},
    {"delete", do_delete},
    {"folders", do_folders},
    {"save", do_save},
    {"child", do_in_child},
    {"store", do_store},
    {"careless store", do_careless_store},
};

static int do_deed(const char *name, const char *where) {
    (void)snprintf(dir, sizeof dir, "%s", where);
    (void)mkdir(at(""), 0700);
    for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++) {
        if (strcmp(deeds[i].name, name) != 0) continue;
        deeds[i].run();
        (void)raise(SIGKILL);
    }
    return 2;
}

/* --- looking at what is left -------------------------------------------------------- */

static void die_of(const char *deed) {
    char self[PATH_MAX + 32], layer[PATH_MAX + 64], data[128], undo[PATH_MAX + 64];
    (void)snprintf(self, sizeof self, "%s/test_crash_layer", folder);
    (void)snprintf(layer, sizeof layer, "LD_PRELOAD=%s/crash/libcrash_layer.so", folder);
    (void)snprintf(undo, sizeof undo, "%s/crash/undo", folder);
    (void)snprintf(data, sizeof data, "HONE_CRASH_DIR=%s/data", dir);
    pid_t child = fork();
    if (child == 0) {
        char *env[] = {layer, data, NULL};
        (void)execle(self, self, deed, dir, (char *)NULL, env);
        _exit(4);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("'%s' ended with status %x", deed, (unsigned)status);
    char command[PATH_MAX + 256];
    (void)snprintf(command, sizeof command, "'%s' '%s/data' > /dev/null", undo, dir);
    assert_int_equal(system(command), 0);
}

static int set_up(void **state) {
    (void)state;
    (void)snprintf(dir, sizeof dir, "%s", check_tmpdir());
    ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
    assert_true(n > 0);
    folder[n] = '\0';
    *strrchr(folder, '/') = '\0';
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    check_rmtree(dir);
    return 0;
}

static void assert_text(const char *name, const char *want) {
    hone_map map;
    CHECK_OK(hone_map_open(at(name), &map));
    if (!hone_str_equal(map.bytes, hone_str_of(want)))
        fail_msg("'%s' holds '%.*s', expected '%s'", name, HONE_ARG(map.bytes), want);
    hone_map_close(&map);
}

static void assert_there(const char *name, bool is_there) {
    if (hone_file_exists(at(name)) != is_there)
        fail_msg("'%s' is %s", name, is_there ? "gone" : "there");
}

static void test_layer__unsynced_bytes_go_and_synced_stay(void **state) {
    (void)state;
    die_of("bytes");
    assert_text("old", "old text");
    die_of("synced bytes");
    assert_text("old", "NEW text");
    die_of("truncated open");
    assert_text("old", "old text");
    die_of("child");
    assert_text("old", "old text");
}

static void test_layer__names_are_the_folders(void **state) {
    (void)state;
    die_of("unsynced name");
    assert_there("new", false);
    die_of("unsynced bytes");
    assert_text("new", "");
    assert_there("new.tmp", false);
    die_of("rename");
    assert_text("old", "old text");
    assert_text("doomed", "doomed");
    die_of("delete");
    assert_text("doomed", "doomed");
}

static void test_layer__folders_go_with_what_is_in_them(void **state) {
    (void)state;
    die_of("folders");
    assert_there("lost", false);
    assert_there("kept", true);
    assert_there("kept/lost", false);
}

static void test_file_save__survives(void **state) {
    (void)state;
    die_of("save");
    assert_text("old", "saved");
}

static void test_store__keeps_what_it_acknowledged(void **state) {
    (void)state;
    die_of("store");
    hone_db *db = NULL;
    hone_objects *objects = NULL;
    hone_arena *arena = NULL;
    hone_entry *entries = NULL;
    size_t count = 0;
    CHECK_OK(hone_arena_create(1 << 20, &arena));
    CHECK_OK(hone_db_open(at(""), &db));
    CHECK_OK(hone_objects_open(at(""), db, &objects));
    CHECK_OK(hone_journal_read(db, arena, 0, 100, &entries, &count));
    assert_int_equal(count, ROWS);
    for (int i = 0; i < ROWS / 2; i++) {
        char key[16], want[16];
        hone_str text;
        (void)snprintf(key, sizeof key, "key-%02d", i);
        (void)snprintf(want, sizeof want, "text %d", 2 * i + 1);
        CHECK_OK(hone_objects_load(objects, arena, HONE_S("data"), hone_str_of(key), 99, &text));
        assert_string_equal(text.ptr, want);
    }
    char command[128], line[32] = "";
    (void)snprintf(command, sizeof command, "find '%s/data/objects' -type f | wc -l", dir);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(line, sizeof line, pipe));
    (void)pclose(pipe);
    assert_int_equal(atoi(line), ROWS / 2); /* replaced files that came back were swept */
    hone_objects_close(objects);
    hone_db_close(db);
    hone_arena_destroy(arena);
}

static void test_layer__a_careless_database_loses_rows(void **state) {
    (void)state;
    die_of("careless store");
    hone_db *db = NULL;
    int64_t last = -1;
    CHECK_OK(hone_db_open(at(""), &db));
    CHECK_OK(hone_journal_last(db, &last));
    assert_int_equal(last, 0);
    hone_db_close(db);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv) {
    if (argc == 3) return do_deed(argv[1], argv[2]);
    const struct CMUnitTest tests[] = {
        CASE(test_layer__unsynced_bytes_go_and_synced_stay),
        CASE(test_layer__names_are_the_folders),
        CASE(test_layer__folders_go_with_what_is_in_them),
        CASE(test_file_save__survives),
        CASE(test_store__keeps_what_it_acknowledged),
        CASE(test_layer__a_careless_database_loses_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
