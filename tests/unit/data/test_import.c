/* test_import.c: what each kind of file gives, and what is refused with which words.
 *
 * Tables: a file's name and bytes, the options, and the records as "line:label:text|...";
 * or the code and a part of the message. */
#include "data/import.h"

#include "base/buf.h"
#include "check.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

typedef struct good_case {
    const char *what, *name, *bytes;
    hone_import_options options;
    const char *records;
} good_case;

static const good_case good_cases[] = {
    {"plain csv", "a.csv", "text,label\nhi,pos\n", {0}, "2:pos:hi|"},
    {"columns in any order", "a.csv", "id,label,text\n7,neg,no\n", {0}, "2:neg:no|"},
    {"CR LF", "a.csv", "text,label\r\nhi,pos\r\nho,neg\r\n", {0}, "2:pos:hi|3:neg:ho|"},
    {"no line end at the end", "a.csv", "text,label\nhi,pos", {0}, "2:pos:hi|"},
    {"CR alone at the end", "a.csv", "text,label\nhi,pos\r", {0}, "2:pos:hi|"},
    {"byte order mark", "a.csv", "\xEF\xBB\xBFtext,label\nhi,pos\n", {0}, "2:pos:hi|"},
    {"mark and quoted header", "a.csv", "\xEF\xBB\xBF\"text\",label\nhi,1\n", {0}, "2:1:hi|"},
    {"quoted comma", "a.csv", "text,label\n\"a, b\",1\n", {0}, "2:1:a, b|"},
    {"doubled quotes", "a.csv", "text,label\n\"say \"\"hi\"\"\",1\n", {0}, "2:1:say \"hi\"|"},
    {"only a quote", "a.csv", "text,label\n\"\"\"\",1\n", {0}, "2:1:\"|"},
    {"quoted newlines keep the line count",
     "a.csv",
     "text,label\n\"a\nb\r\n\nc\",1\nd,0\n",
     {0},
     "2:1:a\nb\r\n\nc|6:0:d|"},
    {"quote inside a field is literal", "a.csv", "text,label\n5\" disk,1\n", {0}, "2:1:5\" disk|"},
    {"empty lines are passed over", "a.csv", "\ntext,label\n\n\r\nhi,1\n\n", {0}, "5:1:hi|"},
    {"spaces are kept", "a.csv", "text,label\n hi ,1\n", {0}, "2:1: hi |"},
    {"empty other columns", "a.csv", "text,x,label\nhi,,1\n", {0}, "2:1:hi|"},
    {"named columns", "a.csv", "s,y\nhi,1\n", {.text_column = "s", .label_column = "y"}, "2:1:hi|"},
    {"numbers: no header",
     "a.csv",
     "1,hi\n0,ho\n",
     {.text_column = "1", .label_column = "0"},
     "1:1:hi|2:0:ho|"},
    {"text may be the label", "a.csv", "text,label\nhi,1\n", {.label_column = "text"}, "2:hi:hi|"},
    {"tsv has no quotes", "a.tsv", "text\tlabel\n\"a\tb\n\"x\" \ty\n", {0}, "2:b:\"a|3:y:\"x\" |"},
    {"tsv with CR LF", "a.tsv", "text\tlabel\r\nhi \t1\r\n", {0}, "2:1:hi |"},
    {"another delimiter", "a.txt", "text;label\n\"a;b\";1\n", {.delimiter = ";"}, "2:1:a;b|"},
    {"tab by name",
     "a.txt",
     "hi\t1\n",
     {.text_column = "0", .label_column = "1", .delimiter = "tab"},
     "1:1:hi|"},
    {"delimiter against the name",
     "a.csv",
     "text\tlabel\na,b\t1\n",
     {.delimiter = "\\t"},
     "2:1:a,b|"},
    {"jsonl",
     "a.jsonl",
     "{\"text\": \"hi\", \"label\": \"pos\"}\n\n{\"label\":\"neg\",\"text\":\"\\u00e9\"}",
     {0},
     "1:pos:hi|3:neg:\xC3\xA9|"},
    {"jsonl labels",
     "a.jsonl",
     "{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\",\"label\":true}\r\n{\"text\":\"c\",\"label\":0."
     "1}\n"
     "{\"text\":\"d\",\"label\":-3e20}\n{\"text\":\"e\",\"label\":false}\n",
     {0},
     "1:1:a|2:true:b|3:0.1:c|4:-3e+20:d|5:false:e|"},
    {"json keys by name",
     "a.ndjson",
     "{\"t\":\"a\",\"y\":1}",
     {.text_column = "t", .label_column = "y"},
     "1:1:a|"},
    {"cp1252 is recognised",
     "a.csv",
     "text,label\ncaf\xE9 \x93x\x94,1\n",
     {0},
     "2:1:caf\xC3\xA9 \xE2\x80\x9Cx\xE2\x80\x9D|"},
    {"latin-1 by name",
     "a.csv",
     "text,label\ncaf\xE9 \x81,1\n",
     {.encoding = "Latin-1"},
     "2:1:caf\xC3\xA9 \xC2\x81|"},
    {"cp1252 by name, though it is UTF-8",
     "a.csv",
     "text,label\n\xC3\xA9,1\n",
     {.encoding = "cp1252"},
     "2:1:\xC3\x83\xC2\xA9|"},
};

typedef struct bad_case {
    const char *what, *name, *bytes;
    hone_import_options options;
    hone_code code;
    const char *message;
} bad_case;

static const bad_case bad_cases[] = {
    {"empty file", "a.csv", "", {0}, HONE_E_CORRUPT, "'a.csv' is empty"},
    {"blank file", "a.jsonl", "\n \n", {0}, HONE_E_CORRUPT, "'a.jsonl' is empty"},
    {"header only", "a.csv", "text,label\n", {0}, HONE_E_CORRUPT, "no rows below it"},
    {"no label column",
     "a.csv",
     "text,y\nhi,1\n",
     {0},
     HONE_E_INVALID,
     "'a.csv' has no column 'label', only 'text', 'y'"},
    {"no text column",
     "a.csv",
     "label\n1\n",
     {0},
     HONE_E_INVALID,
     "no column 'text', only 'label'"},
    {"column twice",
     "a.csv",
     "text,label,text\na,b,c\n",
     {0},
     HONE_E_INVALID,
     "two columns 'text'"},
    {"number too high",
     "a.csv",
     "a,b\n",
     {.text_column = "0", .label_column = "2"},
     HONE_E_INVALID,
     "has no column 2: its first row has 2"},
    {"a name and a number",
     "a.csv",
     "a,b\n",
     {.text_column = "0"},
     HONE_E_INVALID,
     "both numbers from 0"},
    {"unclosed quote",
     "a.csv",
     "text,label\nhi,1\n\"ho,1\nx,1\n",
     {0},
     HONE_E_CORRUPT,
     "line 3: a quote opens here and is never closed"},
    {"quote opened after a line in quotes",
     "a.csv",
     "text,label\n\"a\nb\",\"1\n",
     {0},
     HONE_E_CORRUPT,
     "line 3: a quote opens here"},
    {"text behind a quote",
     "a.csv",
     "text,label\n\"hi\" ho,1\n",
     {0},
     HONE_E_CORRUPT,
     "line 2: a closing quote is followed by more"},
    {"too few columns",
     "a.csv",
     "text,label\nhi,1\nho\n",
     {0},
     HONE_E_CORRUPT,
     "line 3 has 1 column, the first row 2"},
    {"too many columns",
     "a.csv",
     "text,label\nhi, you,1\n",
     {0},
     HONE_E_CORRUPT,
     "line 2 has 3 columns"},
    {"empty text",
     "a.csv",
     "text,label\nhi,1\n\"\",1\n",
     {0},
     HONE_E_CORRUPT,
     "line 3: the text is empty"},
    {"blank text",
     "a.tsv",
     "text\tlabel\n \t1\n",
     {0},
     HONE_E_CORRUPT,
     "line 2: the text is empty"},
    {"empty label",
     "a.csv",
     "text,label\nhi,\n",
     {0},
     HONE_E_CORRUPT,
     "line 2: the label is empty"},
    {"unknown name", "a.txt", "text,label\nhi,1\n", {0}, HONE_E_INVALID, "ends in none of"},
    {"unknown name, and what to give",
     "a.txt",
     "text,label\nhi,1\n",
     {.delimiter_at = "--by"},
     HONE_E_INVALID,
     "(.gz), and no --by is given"},
    {"long delimiter", "a.txt", "a", {.delimiter = "::"}, HONE_E_INVALID, "expected one character"},
    {"quote as delimiter", "a.txt", "a", {.delimiter = "\""}, HONE_E_INVALID, "delimiter '\"'"},
    {"broken json",
     "a.jsonl",
     "{\"text\":\"a\",\"label\":1}\n{\"text\":\n",
     {0},
     HONE_E_CORRUPT,
     "'a.jsonl' line 2"},
    {"json list", "a.jsonl", "[1]\n", {0}, HONE_E_CORRUPT, "expected a JSON object"},
    {"json without label",
     "a.jsonl",
     "{\"text\":\"a\",\"y\":1}\n",
     {0},
     HONE_E_INVALID,
     "line 1 has no key 'label', only 'text', 'y'"},
    {"json text is a number",
     "a.jsonl",
     "{\"text\":1,\"label\":1}\n",
     {0},
     HONE_E_CORRUPT,
     "'text' is no string"},
    {"json label is null",
     "a.jsonl",
     "{\"text\":\"a\",\"label\":null}\n",
     {0},
     HONE_E_CORRUPT,
     "neither string, number nor boolean"},
    {"json label with NUL",
     "a.jsonl",
     "{\"text\":\"a\",\"label\":\"x\\u0000\"}\n",
     {0},
     HONE_E_CORRUPT,
     "the label holds a NUL"},
    {"UTF-16", "a.csv", "\xFF\xFEt", {0}, HONE_E_CORRUPT, "UTF-16"},
    {"neither encoding",
     "a.csv",
     "text,label\ncaf\xE9 \x81,1\n",
     {0},
     HONE_E_CORRUPT,
     "line 2: byte 0x81 is neither"},
    {"broken UTF-8",
     "a.csv",
     "text,label\n\xC3\xA9\xC3\xA9,1\nx\xE9,1\n",
     {0},
     HONE_E_CORRUPT,
     "line 3: byte 0xE9 is no UTF-8, but most"},
    {"UTF-8 by name",
     "a.csv",
     "text,label\nx\xE9,1\n",
     {.encoding = "utf-8"},
     HONE_E_CORRUPT,
     "line 2: byte 0xE9 is no UTF-8"},
    {"cp1252 by name",
     "a.csv",
     "text,label\nx\x8F,1\n",
     {.encoding = "cp1252"},
     HONE_E_CORRUPT,
     "line 2: byte 0x8F does not exist in cp1252"},
    {"unknown encoding", "a.csv", "a", {.encoding = "ebcdic"}, HONE_E_INVALID, "encoding 'ebcdic'"},
};

static hone_arena *arena_of(size_t limit_bytes) {
    hone_arena *arena = NULL;
    CHECK_OK(hone_arena_create(limit_bytes, &arena));
    return arena;
}

static void check_records(const hone_dataset *data, const char *what, const char *want) {
    hone_buf got;
    hone_buf_init(&got, 1 << 20);
    for (size_t i = 0; i < data->count; i++) {
        const hone_record *r = &data->records[i];
        hone_buf_printf(&got, "%zu:%.*s:", r->line, HONE_ARG(r->label));
        hone_buf_push(&got, r->text);
        hone_buf_push_char(&got, '|');
    }
    CHECK_OK(hone_buf_err(&got));
    if (!hone_str_equal(hone_buf_str(&got), hone_str_of(want)))
        fail_msg("%s: got '%.*s', expected '%s'", what, HONE_ARG(hone_buf_str(&got)), want);
    hone_buf_done(&got);
}

static void test_import__reads_every_form(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof good_cases / sizeof good_cases[0]; i++) {
        const good_case *c = &good_cases[i];
        hone_arena *arena = arena_of(1 << 20);
        hone_dataset data;
        hone_err err = hone_import_bytes(arena, hone_str_of(c->bytes), c->name, &c->options, &data);
        if (hone_failed(err)) fail_msg("%s: %s", c->what, err.msg);
        check_records(&data, c->what, c->records);
        hone_arena_destroy(arena);
    }
}

static void test_import__refuses_with_the_place(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_cases / sizeof bad_cases[0]; i++) {
        const bad_case *c = &bad_cases[i];
        hone_arena *arena = arena_of(1 << 20);
        hone_dataset data;
        hone_err err = hone_import_bytes(arena, hone_str_of(c->bytes), c->name, &c->options, &data);
        if (err.code != c->code || !err.msg || !strstr(err.msg, c->message))
            fail_msg("%s: code %d '%s', expected '%s'", c->what, (int)err.code, err.msg,
                     c->message);
        hone_arena_destroy(arena);
    }
}

static void test_import__tells_what_it_recognised(void **state) {
    (void)state;
    hone_arena *arena = arena_of(1 << 20);
    hone_import_options any = {0}, named = {.encoding = "cp1252"};
    hone_str cp1252 = HONE_S("text,label\ncaf\xE9,1\n"), utf8 = HONE_S("text,label\nx,1\n");
    hone_dataset data;
    CHECK_OK(hone_import_bytes(arena, cp1252, "a.csv", &any, &data));
    assert_string_equal(data.recognised, "cp1252");
    CHECK_OK(hone_import_bytes(arena, cp1252, "a.csv", &named, &data));
    assert_null(data.recognised);
    CHECK_OK(hone_import_bytes(arena, utf8, "a.csv", &any, &data));
    assert_null(data.recognised);
    hone_arena_destroy(arena);
}

/* A csv with one text of text_bytes. */
static hone_err import_long(size_t text_bytes, bool quoted) {
    hone_arena *arena = arena_of(64 << 20);
    hone_buf file;
    hone_buf_init(&file, 32 << 20);
    hone_buf_push(&file, HONE_S("text,label\n"));
    if (quoted) hone_buf_push_char(&file, '"');
    for (size_t i = 0; i < text_bytes; i++) hone_buf_push_char(&file, 'x');
    if (quoted) hone_buf_push_char(&file, '"');
    hone_buf_push(&file, HONE_S(",1\n"));
    hone_import_options options = {0};
    hone_dataset data;
    hone_err err = hone_import_bytes(arena, hone_buf_str(&file), "a.csv", &options, &data);
    hone_buf_done(&file);
    hone_arena_destroy(arena);
    return err;
}

static void test_import__bounds_text_and_rows(void **state) {
    (void)state;
    CHECK_OK(import_long(HONE_TEXT_BYTES_MAX, false));
    CHECK_OK(import_long(HONE_TEXT_BYTES_MAX, true));
    CHECK_FAILS(import_long(HONE_TEXT_BYTES_MAX + 1, false), HONE_E_FULL, "line 2: the text has");
    CHECK_FAILS(import_long(5 << 20, false), HONE_E_FULL, "line 2 has more than");
    CHECK_FAILS(import_long(5 << 20, true), HONE_E_FULL, "line 2: a quoted field has more than");
}

static void test_import__stops_at_the_arena_limit(void **state) {
    (void)state;
    hone_import_options options = {0};
    hone_dataset data;
    hone_str bytes = HONE_S("text,label\n\"a\"\"b\",1\n");
    bool worked = false;
    for (size_t limit = 0; limit < 64 << 10 && !worked; limit += 64) {
        hone_arena *arena = arena_of(limit);
        hone_err err = hone_import_bytes(arena, bytes, "a.csv", &options, &data);
        worked = !hone_failed(err);
        if (!worked) assert_int_equal(err.code, HONE_E_NOMEM);
        hone_arena_destroy(arena);
    }
    assert_true(worked);
}

static void test_import__reads_gzip_and_names_a_broken_one(void **state) {
    (void)state;
    const char *dir = check_tmpdir();
    char path[128];
    (void)snprintf(path, sizeof path, "%s/a.csv.gz", dir);
    gzFile gz = gzopen(path, "wb");
    assert_non_null(gz);
    (void)gzputs(gz, "text,label\n");
    for (int i = 0; i < 20000; i++) (void)gzprintf(gz, "sentence %d,%d\n", i * 7919 % 20011, i % 2);
    assert_int_equal(gzclose(gz), Z_OK);

    hone_import_options options = {0};
    hone_dataset data;
    hone_arena *arena = arena_of(64 << 20);
    CHECK_OK(hone_import_file(arena, path, &options, &data));
    assert_int_equal(data.count, 20000);
    assert_true(hone_str_equal(data.records[1].text, HONE_S("sentence 7919")));
    assert_int_equal(truncate(path, 9000), 0);
    CHECK_FAILS(hone_import_file(arena, path, &options, &data), HONE_E_CORRUPT, "broken gzip");
    CHECK_FAILS(hone_import_file(arena, "/nowhere.csv", &options, &data), HONE_E_NOT_FOUND,
                "open '/nowhere.csv'");
    (void)snprintf(path, sizeof path, "%s/sub.csv", dir);
    assert_int_equal(mkdir(path, 0755), 0);
    CHECK_FAILS(hone_import_file(arena, path, &options, &data), HONE_E_IO, "sub.csv");
    hone_arena_destroy(arena);
    check_rmtree(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_import__reads_every_form),
        cmocka_unit_test(test_import__refuses_with_the_place),
        cmocka_unit_test(test_import__tells_what_it_recognised),
        cmocka_unit_test(test_import__bounds_text_and_rows),
        cmocka_unit_test(test_import__stops_at_the_arena_limit),
        cmocka_unit_test(test_import__reads_gzip_and_names_a_broken_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
