/* The template's own script element for crowd-html-elements.js: taken out, and only it, with every
 * line where it was. What the frame answers over HTTP is in tests/server/test_reviews.py. */
#include "api/task_frame.h"

#include "check.h"

#define CROWD "https://assets.crowd.aws/crowd-html-elements.js"

static const struct {
    const char *content, *want;
} cases[] = {
    {"", ""},
    {"<p>no script</p>", "<p>no script</p>"},
    {"a<script src=\"" CROWD "\"></script>b", "ab"},
    {"a<script\n src='" CROWD "'\n></script>b", "a\n\nb"},
    {"<script src=\"" CROWD "\"></script><script>mine()</script>", "<script>mine()</script>"},
    {"<script src=\"" CROWD "\"></script><script src=\"" CROWD "\"></script>x", "x"},
    {"<p>" CROWD "</p><script>a</script>", "<p>" CROWD "</p><script>a</script>"},
    {"<script src=\"" CROWD "\">", "<script src=\"" CROWD "\">"}, /* no end: nothing to take */
    {CROWD, CROWD},
    {"{{ task.input.t }}<script src=\"" CROWD "\"></script>", "{{ task.input.t }}"},
};

static void test_strip__takes_the_script_and_nothing_else(void **state) {
    (void)state;
    hone_arena *arena = NULL;
    CHECK_OK(hone_arena_create(1 << 20, &arena));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_str content = hone_str_of(cases[i].content);
        hone_str got = hone_task_frame_strip(arena, content);
        assert_int_equal(got.len, content.len);
        char seen[512];
        size_t n = 0;
        for (size_t k = 0; k < got.len; k++) /* what was taken is spaces */
            if (got.ptr[k] == content.ptr[k])
                seen[n++] = got.ptr[k];
            else
                assert_int_equal(got.ptr[k], ' ');
        seen[n] = '\0';
        /* spaces within the element stay what they are */
        const char *a = seen, *b = cases[i].want;
        for (; *a || *b; a++, b++) {
            while (*a == ' ') a++;
            while (*b == ' ') b++;
            if (*a != *b)
                fail_msg("%s\n gave '%s', expected '%s'", cases[i].content, seen, cases[i].want);
            if (!*a) break;
        }
    }
    hone_arena_destroy(arena);
}

static void test_strip__answers_the_limit_of_the_arena(void **state) {
    (void)state;
    hone_arena *arena = NULL;
    static char large[1 << 16];
    CHECK_OK(hone_arena_create(1 << 12, &arena));
    memset(large, 'x', sizeof large);
    assert_null(hone_task_frame_strip(arena, (hone_str){large, sizeof large}).ptr);
    hone_arena_destroy(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strip__takes_the_script_and_nothing_else),
        cmocka_unit_test(test_strip__answers_the_limit_of_the_arena),
    };
    return cmocka_run_group_tests_name("task_frame", tests, NULL, NULL);
}
