/* test_uploads.c: objects that come in parts: what is kept, what ends, and what failures leave. */
#include "check.h"

#include "fault.h"
#include "store/uploads.h"

#include <dirent.h>

typedef struct world {
    char dir[64];
    hone_db *db;
    hone_objects *objects;
    hone_arena *arena;
} world;

static int set_up(void **state) {
    world *w = calloc(1, sizeof *w);
    (void)snprintf(w->dir, sizeof w->dir, "%s", check_tmpdir());
    CHECK_OK(hone_db_open(w->dir, &w->db));
    CHECK_OK(hone_objects_open(w->dir, w->db, &w->objects));
    CHECK_OK(hone_arena_create((size_t)64 << 20, &w->arena));
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    world *w = *state;
    hone_arena_destroy(w->arena);
    hone_objects_close(w->objects);
    hone_db_close(w->db);
    check_rmtree(w->dir);
    free(w);
    return 0;
}

static hone_upload begin(world *w) {
    hone_upload upload = {.bucket = HONE_S("b"),
                          .key = HONE_S("a/\xC3\xBC"),
                          .content_type = HONE_S("text/x"),
                          .meta = HONE_S("{\"m\":\"1\"}")};
    CHECK_OK(hone_uploads_begin(w->objects, &upload));
    return upload;
}

static hone_part put(world *w, const hone_upload *upload, int64_t number, const char *text) {
    hone_staged staged;
    hone_part part = {.number = number};
    CHECK_OK(hone_objects_stage(w->objects, hone_str_of(text), &staged));
    CHECK_OK(hone_uploads_put(w->objects, upload, number, &staged));
    memcpy(part.etag, staged.etag, sizeof part.etag);
    return part;
}

static size_t files_in(const world *w, const char *name) {
    char path[128];
    size_t count = 0;
    (void)snprintf(path, sizeof path, "%s/%s", w->dir, name);
    DIR *folder = opendir(path);
    for (const struct dirent *e; folder && (e = readdir(folder));) count += e->d_name[0] != '.';
    if (folder) closedir(folder);
    return count;
}

static size_t objects_left(const world *w) {
    size_t count = 0;
    for (int i = 0; i < 256; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "objects/%02x", i);
        count += files_in(w, name);
    }
    return count;
}

static void test_upload__is_found_with_what_was_said(void **state) {
    world *w = *state;
    hone_upload upload = begin(w), found;
    CHECK_OK(hone_uploads_find(w->objects, w->arena, hone_str_of(upload.id), &found));
    assert_true(hone_str_equal(found.key, upload.key));
    assert_true(hone_str_equal(found.meta, upload.meta));
    assert_int_equal(found.begun_ms, upload.begun_ms);
    hone_upload *list = NULL;
    size_t count = 0;
    CHECK_OK(hone_uploads_list(w->objects, w->arena, 10, &list, &count));
    assert_int_equal(count, 1);
    CHECK_OK(hone_uploads_abort(w->objects, &upload));
    CHECK_FAILS(hone_uploads_find(w->objects, w->arena, hone_str_of(upload.id), &found),
                HONE_E_NOT_FOUND, "no upload");
    static const char *const bad[] = {"", "..", "../objects", "0123", "0123456789abcdef0123456G"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_FAILS(hone_uploads_find(w->objects, w->arena, hone_str_of(bad[i]), &found),
                    HONE_E_NOT_FOUND, "no upload");
}

static void test_parts__are_joined_by_number(void **state) {
    world *w = *state;
    hone_upload upload = begin(w);
    hone_part parts[2];
    parts[1] = put(w, &upload, 10000, "second");
    parts[0] = put(w, &upload, 1, "first ");
    hone_part *listed = NULL;
    size_t count = 0;
    CHECK_OK(hone_uploads_parts(w->objects, w->arena, &upload, &listed, &count));
    assert_int_equal(count, 2);
    assert_int_equal(listed[1].number, 10000);
    assert_int_equal(listed[1].size_bytes, 6);

    hone_staged staged;
    hone_part missing = {.number = 2};
    memcpy(missing.etag, parts[0].etag, sizeof missing.etag);
    CHECK_FAILS(hone_uploads_complete(w->objects, &upload, &missing, 1, &staged), HONE_E_INVALID,
                "part 2");
    CHECK_OK(hone_uploads_complete(w->objects, &upload, parts, 2, &staged));
    assert_int_equal(staged.size_bytes, 12);
    assert_string_equal(staged.etag, "2059640c02c5a16a79564ac0b9c6babd");
    CHECK_FAILS(hone_uploads_complete(w->objects, &upload, parts, 2, &staged), HONE_E_INVALID, "");
    assert_int_equal(files_in(w, "uploads"), 0);
}

static void test_part__with_no_number_is_given_up(void **state) {
    world *w = *state;
    hone_upload upload = begin(w);
    static const int64_t bad[] = {0, -1, 10001};
    for (size_t i = 0; i < 3; i++) {
        hone_staged staged;
        CHECK_OK(hone_objects_stage(w->objects, HONE_S("x"), &staged));
        CHECK_FAILS(hone_uploads_put(w->objects, &upload, bad[i], &staged), HONE_E_INVALID, "1 to");
    }
    assert_int_equal(objects_left(w), 0);
}

/* ---- failures ---- */

typedef struct sweep {
    world *w;
    hone_upload upload;
    hone_part parts[2];
    hone_staged staged;
} sweep;

static hone_err complete(void *arg) {
    sweep *s = arg;
    return hone_uploads_complete(s->w->objects, &s->upload, s->parts, 2, &s->staged);
}

static void test_completion__that_fails_may_be_tried_again(void **state) {
    sweep s = {.w = *state};
    s.upload = begin(s.w);
    s.parts[0] = put(s.w, &s.upload, 1, "one");
    s.parts[1] = put(s.w, &s.upload, 2, "two");
    fault_sweep(complete, &s); /* each failure leaves the upload for the next round */
    assert_int_equal(files_in(s.w, "uploads"), 0);
    assert_int_equal(s.staged.size_bytes, 6);
    assert_int_equal(objects_left(s.w), 1); /* the one that was staged */
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_upload__is_found_with_what_was_said),
        TEST(test_parts__are_joined_by_number),
        TEST(test_part__with_no_number_is_given_up),
        TEST(test_completion__that_fails_may_be_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
