/* Goal: only a header that describes its file truthfully is accepted, what hone writes comes
 * back as it was, and a failed save leaves nothing behind.
 *
 * Method: a table of lying headers, each parsed from an allocation of exactly its size so that
 * the sanitizers see a read past it; round trips; 16-bit floats against torch's conversion
 * (tests/golden/model/halves.safetensors) and, all of them, against the definition. */
#include "check.h"

#include "base/file.h"
#include "model/safetensors.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { MATCH = -1 }; /* the length field tells the truth */

/* A file in the making: length, header, data_len zero bytes. Freed by the caller. */
static hone_str make_file(const char *header, int64_t claimed, size_t data_len) {
    size_t header_len = strlen(header);
    uint64_t length = claimed == MATCH ? header_len : (uint64_t)claimed;
    char *bytes = calloc(8 + header_len + data_len, 1);
    assert_non_null(bytes);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, header_len);
    return (hone_str){bytes, 8 + header_len + data_len};
}

static void free_file(hone_str file) { free((void *)(uintptr_t)file.ptr); }

#define T(dtype, shape, offsets) \
    "{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]}"

static void test_safetensors__lying_headers_are_refused(void **state) {
    (void)state;
    const struct {
        const char *header;
        int64_t claimed;
        size_t data_len;
        const char *message;
    } cases[] = {
        {"{}", 100, 0, "truncated"},
        {"{}", 3, 0, "truncated"},
        {"{}", (int64_t)1 << 40, 0, "is it a safetensors file"},
        {"{}", INT64_MIN, 0, "is it a safetensors file"},
        {"", MATCH, 0, "no JSON"},
        {"{", MATCH, 0, "no JSON"},
        {"{} x", MATCH, 0, "no JSON"},
        {"{\"a\":\"\xff\"}", MATCH, 0, "no JSON"},
        {"[]", MATCH, 0, "no JSON object"},
        {"{}", MATCH, 1, "1 bytes of data"},
        {"{\"__metadata__\":{}}", MATCH, 4, "4 bytes of data"},
        {"{\"a\":7}", MATCH, 0, "'a' is not described"},
        {"{\"a\\nb\":7}", MATCH, 0, "'a?b' is not described"}, /* messages stay one line */
        {"{\"a\":{}}", MATCH, 0, "'a' has no 'shape'"},
        {"{\"a\":{\"shape\":[1]}}", MATCH, 4, "'a' has no pair"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", MATCH, 4, "'a' has no 'dtype'"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4],\"dtype\":3}}", MATCH, 4, "no 'dtype'"},
        {"{\"a\":" T("F32", "1", "0,4,4") "}", MATCH, 4, "no pair 'data_offsets'"},
        {"{\"a\":" T("F32", "1", "0,4.0") "}", MATCH, 4, "no pair 'data_offsets'"},
        {"{\"a\":" T("F32", "1", "0,8") "}", MATCH, 4, "bytes 0 to 8 of 4"},
        {"{\"a\":" T("F32", "1", "4,0") "}", MATCH, 4, "bytes 4 to 0"},
        {"{\"a\":" T("F32", "1", "-4,0") "}", MATCH, 4, "bytes -4 to 0"},
        {"{\"a\":" T("F32", "1", "0,9223372036854775807") "}", MATCH, 4, "9223372036854775807"},
        {"{\"a\":" T("F32", "1", "0,99999999999999999999") "}", MATCH, 4, "no JSON"},
        {"{\"a\":" T("F32", "2", "0,4") "}", MATCH, 4, "has 4 bytes, its shape asks for 2 x F32"},
        {"{\"a\":" T("F16", "1", "0,4") "}", MATCH, 4, "has 4 bytes"},
        {"{\"a\":" T("F64", "1", "0,4") "}", MATCH, 4, "1 x F64"},
        {"{\"a\":" T("BOOL", "3", "0,4") "}", MATCH, 4, "3 x BOOL"},
        {"{\"a\":" T("F4", "1", "0,1") "}", MATCH, 1, "1 x F4"},
        {"{\"a\":" T("F32", "-1", "0,4") "}", MATCH, 4, "dimension 0 of tensor 'a'"},
        {"{\"a\":" T("F32", "1.0", "0,4") "}", MATCH, 4, "dimension 0 of tensor 'a'"},
        {"{\"a\":" T("F32", "1,1,1,1,1,1,1,1,1", "0,4") "}", MATCH, 4, "9 dimensions"},
        {"{\"a\":" T("F32", "4294967296,4294967296", "0,4") "}", MATCH, 4, "overflows"},
        {"{\"a\":" T("F32", "9223372036854775807", "0,4") "}", MATCH, 4, "its shape asks"},
        {"{\"a\":" T("F32", "2305843009213693953", "0,4") "}", MATCH, 4, "its shape asks"},
        {"{\"a\":" T("F32", "1", "0,4") ",\"a\":" T("F32", "1", "4,8") "}", MATCH, 8, "duplicate"},
        {"{\"a\":" T("F32", "1", "0,4") ",\"b\":" T("F32", "1", "0,4") "}", MATCH, 4, "begins at"},
        {"{\"a\":" T("F32", "2", "0,8") ",\"b\":" T("F32", "1", "4,8") "}", MATCH, 8, "begins at"},
        {"{\"a\":" T("F32", "1", "0,4") ",\"b\":" T("F32", "1", "8,12") "}", MATCH, 12,
         "begins at"},
        {"{\"a\":" T("F32", "1", "4,8") "}", MATCH, 8, "begins at byte 4, expected 0"},
        {"{\"a\":" T("F32", "1", "0,4") "}", MATCH, 5, "5 bytes of data, its tensors take 4"},
        {"{\"a\":" T("F32", "1", "0,4") "}", MATCH, 3, "bytes 0 to 4 of 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_str bytes = make_file(cases[i].header, cases[i].claimed, cases[i].data_len);
        hone_safetensors *file = NULL;
        CHECK_FAILS(hone_safetensors_parse(bytes, "x", &file), HONE_E_CORRUPT, cases[i].message);
        assert_null(file);
        free_file(bytes);
    }
}

static void test_safetensors__too_short_files_are_refused(void **state) {
    (void)state;
    hone_safetensors *file = NULL;
    for (size_t len = 0; len < 8; len++)
        CHECK_FAILS(hone_safetensors_parse((hone_str){"\2\0\0\0\0\0\0", len}, "x", &file),
                    HONE_E_CORRUPT, "too few");
}

static void test_safetensors__deep_nesting_is_refused(void **state) {
    (void)state;
    enum { DEPTH = 1 << 20 };
    char *header = malloc(DEPTH + 1);
    assert_non_null(header);
    memset(header, '[', DEPTH);
    header[DEPTH] = '\0';
    hone_str bytes = make_file(header, MATCH, 0);
    hone_safetensors *file = NULL;
    CHECK_FAILS(hone_safetensors_parse(bytes, "x", &file), HONE_E_CORRUPT, "no JSON");
    free_file(bytes);
    free(header);
}

static void test_safetensors__every_cut_of_a_file_is_refused(void **state) {
    (void)state;
    hone_str bytes = make_file("{\"a\":" T("F32", "2", "0,8") ",\"b\":" T("I64", "", "8,16") "}",
                               MATCH, 16);
    for (size_t len = 0; len < bytes.len; len++) {
        char *cut = malloc(len ? len : 1);
        assert_non_null(cut);
        memcpy(cut, bytes.ptr, len);
        hone_safetensors *file = NULL;
        CHECK_FAILS(hone_safetensors_parse((hone_str){cut, len}, "x", &file), HONE_E_CORRUPT, "x:");
        free(cut);
    }
    free_file(bytes);
}

static void test_safetensors__unusual_but_true_headers_are_read(void **state) {
    (void)state;
    /* Out of order, empty tensors, a scalar, types that nobody reads, padding, unaligned. */
    hone_str bytes = make_file(
        "{\"z\":" T("F32", "1",
                    "5,9") ",\"__metadata__\":{\"format\":\"pt\",\"x\":\"y\"},"
                           "\"s\":" T("F32", "", "1,5") ",\"e\":" T(
                               "F32", "0,7",
                               "5,5") ","
                                      "\"n\":" T("F99", "3", "9,11") ",\"q\":" T(
                                          "F4", "2,1",
                                          "11,12") ","
                                                   "\"f\":" T("F64", "0,0", "0,0") ",\"b\":" T(
                                                       "U8", "1", "0,1") "}    ",
        MATCH, 12);
    hone_safetensors *file = NULL;
    CHECK_OK(hone_safetensors_parse(bytes, "x", &file));
    assert_int_equal(hone_safetensors_count(file), 7);
    for (size_t i = 0; i + 1 < 7; i++)
        assert_true(strcmp(hone_safetensors_get(file, i)->name,
                           hone_safetensors_get(file, i + 1)->name) < 0);
    const hone_tensor *s = hone_safetensors_find(file, "s");
    assert_int_equal(s->rank, 0);
    assert_int_equal(s->count, 1);
    float value = 1.0F;
    hone_tensor_to_f32(s, &value);
    assert_true(value == 0.0F);
    assert_int_equal(hone_safetensors_find(file, "e")->count, 0);
    assert_int_equal(hone_safetensors_find(file, "n")->dtype, HONE_OTHER);
    assert_int_equal(hone_safetensors_find(file, "q")->dtype, HONE_OTHER);
    assert_null(hone_safetensors_find(file, "__metadata__"));
    hone_safetensors_close(file);
    free_file(bytes);
}

static void test_safetensors__a_file_without_tensors_is_empty(void **state) {
    (void)state;
    hone_str bytes = make_file("{}", MATCH, 0);
    hone_safetensors *file = NULL;
    CHECK_OK(hone_safetensors_parse(bytes, "x", &file));
    assert_int_equal(hone_safetensors_count(file), 0);
    assert_null(hone_safetensors_find(file, "a"));
    hone_safetensors_close(file);
    hone_safetensors_close(NULL);
    free_file(bytes);
}

/* ---- saving ---- */

/* Every tensor of file, in its order of names, as float tensors to write. */
static void save_again(const hone_safetensors *file, const char *path) {
    hone_tensor_out out[8] = {0};
    size_t count = hone_safetensors_count(file);
    assert_in_range(count, 1, 8);
    for (size_t i = 0; i < count; i++) {
        const hone_tensor *t = hone_safetensors_get(file, i);
        float *data = malloc(t->count * sizeof *data + 1);
        assert_non_null(data);
        hone_tensor_to_f32(t, data);
        out[i] = (hone_tensor_out){.name = t->name, .rank = t->rank, .data = data};
        memcpy(out[i].dims, t->dims, sizeof t->dims);
    }
    CHECK_OK(hone_safetensors_save(path, out, count));
    for (size_t i = 0; i < count; i++) free((void *)(uintptr_t)out[i].data);
}

static void test_safetensors__what_is_saved_comes_back(void **state) {
    (void)state;
    char *dir = check_tmpdir(), first[128], second[128];
    (void)snprintf(first, sizeof first, "%s/first", dir);
    (void)snprintf(second, sizeof second, "%s/second", dir);
    const float a[6] = {1, 2, 3, -4, 1e-42F, 3e38F}, b[1] = {-0.5F};
    const hone_tensor_out out[] = {
        {"a", 2, {2, 3}, a}, {"b", 0, {0}, b}, {"c", 2, {0, 3}, a}, {"\"\\\n\xC3\xA9", 1, {1}, b}};
    CHECK_OK(hone_safetensors_save(first, out, 4));

    hone_safetensors *file = NULL;
    CHECK_OK(hone_safetensors_open(first, &file));
    assert_int_equal(hone_safetensors_count(file), 4);
    const hone_tensor *t = hone_safetensors_find(file, "a");
    assert_non_null(t);
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->dims[1], 3);
    assert_int_equal(t->size_bytes, sizeof a);
    assert_int_equal((uintptr_t)t->data % 8, 0);
    assert_memory_equal(t->data, a, sizeof a);
    assert_non_null(hone_safetensors_find(file, "\"\\\n\xC3\xA9"));
    assert_null(hone_safetensors_find(file, "d"));

    hone_safetensors_release(file);
    assert_memory_equal(t->data, a, sizeof a);
    hone_safetensors_close(file);

    CHECK_OK(hone_safetensors_open(first, &file));
    save_again(file, second);
    hone_safetensors_close(file);
    CHECK_OK(hone_safetensors_open(second, &file));
    save_again(file, first);
    hone_safetensors_close(file);
    hone_map one, two;
    CHECK_OK(hone_map_open(first, &one));
    CHECK_OK(hone_map_open(second, &two));
    assert_true(hone_str_equal(one.bytes, two.bytes));
    hone_map_close(&one);
    hone_map_close(&two);
    check_rmtree(dir);
}

static size_t files_in(const char *path) {
    DIR *dir = opendir(path);
    assert_non_null(dir);
    size_t count = 0;
    for (const struct dirent *e; (e = readdir(dir));) count += e->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

/* A file size limit fails the write midway, as a full disk does. */
static void test_safetensors__a_failed_save_leaves_nothing_new(void **state) {
    (void)state;
    enum { COUNT = 4096, LIMIT_BYTES = 8192 };
    static float data[COUNT];
    char *dir = check_tmpdir(), path[128];
    (void)snprintf(path, sizeof path, "%s/x", dir);
    const hone_tensor_out small = {"a", 1, {1}, data}, large = {"a", 1, {COUNT}, data};

    CHECK_OK(hone_safetensors_save(path, &small, 1));
    struct rlimit before, limited;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limited = before;
    limited.rlim_cur = LIMIT_BYTES;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limited), 0);
    hone_err err = hone_safetensors_save(path, &large, 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(err.code, HONE_E_IO);
    assert_non_null(strstr(err.msg, dir));

    assert_int_equal(files_in(dir), 1);
    hone_safetensors *file = NULL;
    CHECK_OK(hone_safetensors_open(path, &file)); /* the old one */
    assert_int_equal(hone_safetensors_find(file, "a")->count, 1);
    hone_safetensors_close(file);

    char inside[160];
    (void)snprintf(inside, sizeof inside, "%s/none/x", dir);
    CHECK_FAILS(hone_safetensors_save(inside, &small, 1), HONE_E_NOT_FOUND, inside);
    (void)snprintf(inside, sizeof inside, "%s/folder", dir);
    assert_int_equal(mkdir(inside, 0700), 0);
    CHECK_FAILS(hone_safetensors_save(inside, &small, 1), HONE_E_IO, inside);
    assert_int_equal(files_in(dir), 2);
    check_rmtree(dir);
}

/* ---- 16-bit floats ---- */

static void check_halves(const hone_safetensors *file, const char *halves, const char *floats) {
    const hone_tensor *from = hone_safetensors_find(file, halves);
    const hone_tensor *to = hone_safetensors_find(file, floats);
    assert_non_null(from);
    assert_non_null(to);
    assert_int_equal(from->count, to->count);
    float *got = malloc(from->count * sizeof *got), *want = malloc(to->count * sizeof *want);
    assert_non_null(got);
    assert_non_null(want);
    hone_tensor_to_f32(from, got);
    hone_tensor_to_f32(to, want);
    for (size_t i = 0; i < from->count; i++)
        if (isnan(want[i]) ? !isnan(got[i]) : memcmp(&got[i], &want[i], sizeof *got) != 0)
            fail_msg("%s[%zu]: %a, expected %a", halves, i, (double)got[i], (double)want[i]);
    free(got);
    free(want);
}

static void test_tensor__halves_become_what_torch_makes_of_them(void **state) {
    (void)state;
    hone_safetensors *file = NULL;
    CHECK_OK(hone_safetensors_open(GOLDEN("model/halves.safetensors"), &file));
    check_halves(file, "f16", "f16.as_f32");
    check_halves(file, "bf16", "bf16.as_f32");
    hone_safetensors_close(file);
}

/* IEEE 754 binary16 from its definition. */
static double f16_value(unsigned bits) {
    int exponent = (int)(bits >> 10 & 31);
    double fraction = bits & 1023;
    double size = exponent == 31  ? (fraction > 0 ? NAN : INFINITY)
                  : exponent == 0 ? ldexp(fraction, -24)
                                  : ldexp(1024 + fraction, exponent - 25);
    return bits >> 15 ? -size : size;
}

static void test_tensor__every_f16_has_its_defined_value(void **state) {
    (void)state;
    static uint16_t halves[1 << 16];
    static float got[1 << 16];
    for (unsigned i = 0; i < 1 << 16; i++) halves[i] = (uint16_t)i;
    const hone_tensor t = {"h", HONE_F16, 1, {1 << 16}, 1 << 16, halves, sizeof halves};
    hone_tensor_to_f32(&t, got);
    for (unsigned i = 0; i < 1 << 16; i++) {
        double want = f16_value(i);
        if (isnan(want) ? !isnan(got[i])
                        : (double)got[i] != want || !signbit(got[i]) != !signbit(want))
            fail_msg("%#x: %a, expected %a", i, (double)got[i], want);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safetensors__lying_headers_are_refused),
        cmocka_unit_test(test_safetensors__too_short_files_are_refused),
        cmocka_unit_test(test_safetensors__deep_nesting_is_refused),
        cmocka_unit_test(test_safetensors__every_cut_of_a_file_is_refused),
        cmocka_unit_test(test_safetensors__unusual_but_true_headers_are_read),
        cmocka_unit_test(test_safetensors__a_file_without_tensors_is_empty),
        cmocka_unit_test(test_safetensors__what_is_saved_comes_back),
        cmocka_unit_test(test_safetensors__a_failed_save_leaves_nothing_new),
        cmocka_unit_test(test_tensor__halves_become_what_torch_makes_of_them),
        cmocka_unit_test(test_tensor__every_f16_has_its_defined_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
