/* The Liquid renderer: a table of templates with the page that each gives from one input, a table
 * of templates that are refused with the words of the refusal, and the limits. */
#include "review/liquid.h"

#include "base/file.h"
#include "base/json.h"
#include "check.h"
#include "fault.h"

static const char input_text[] =
    "{\"taskObject\": \"a < b & 'c' \\\"d\\\"\", \"n\": 3, \"big\": 12345678901234, \"p\": 0.61,"
    " \"whole\": 5.0, \"yes\": true, \"no\": false, \"none\": null, \"list\": [\"x\", \"y\", "
    "\"z\"],"
    " \"numbers\": [1, 2, 3, 4], \"empty\": [], \"blank\": \"\","
    " \"object\": {\"k\": 1, \"a key\": {\"deep\": [10, {\"q\": \"</script>\"}]}},"
    " \"size\": \"own\", \"csv\": \"a,b,,c,,\", \"utf\": \"\\u00fcber \\u00c4\\u03a9\","
    " \"lines\": \"one\\ntwo\", \"padded\": \"  in  \", \"digits\": \"12\"}";

/* The page for tpl, or the message of the error. The caller ends out. */
static hone_err render(const char *tpl, hone_buf *out) {
    json_t *input = NULL;
    hone_buf_init(out, HONE_LIQUID_OUTPUT_MAX);
    HONE_TRY(hone_json_parse(hone_str_of(input_text), "input", &input));
    hone_err err = hone_liquid_render(hone_str_of(tpl), input, out);
    json_decref(input);
    return err;
}

static const struct {
    const char *tpl, *page;
} pages[] = {
    /* output and paths */
    {"", ""},
    {"plain { { } text", "plain { { } text"},
    {"{{ task.input.taskObject }}", "a &lt; b &amp; &#39;c&#39; &quot;d&quot;"},
    {"[{{ task.input.nothing.at.all }}]", "[]"},
    {"[{{ unknown }}{{}}]", "[]"},
    {"{{task.input.n}} {{ task.input.big }} {{ task.input.p }} {{ task.input.whole }}",
     "3 12345678901234 0.61 5.0"},
    {"{{ task.input.yes }} {{ task.input.no }} [{{ task.input.none }}]", "true false []"},
    {"{{ task.input.list[0] }}{{ task.input.list[-1] }}[{{ task.input.list[9] }}]", "xz[]"},
    {"{{ task.input.list.first }}{{ task.input.list.last }}{{ task.input.list.size }}", "xz3"},
    {"{{ task.input.size }} {{ task.input.object.size }}", "own 2"},
    {"{{ task.input.object[\"a key\"].deep[1]['q'] }}", "&lt;/script&gt;"},
    {"{% assign i = 1 %}{{ task.input.list[i] }}", "y"},
    {"{% assign k = 'n' %}{{ task.input[k] }}", "3"},
    {"{{ 'lit' }} {{ \"it's\" }} {{ -4 }} {{ 2.50 }} {{ true }}", "lit it&#39;s -4 2.5 true"},
    {"{{ task.input.list }}", "[&quot;x&quot;,&quot;y&quot;,&quot;z&quot;]"},
    {"{{ task.input.object['a key'] | skip_autoescape }}",
     "{\"deep\":[10,{\"q\":\"\\u003c/script>\"}]}"},
    {"{{ task.input.none | to_json }}{{ task.input.p | to_json }}", "null0.61"},
    {"{{ task.input.blank | to_json }}", "&quot;&quot;"},
    {"{{ task.input.list | to_json | escape }}", "[&quot;x&quot;,&quot;y&quot;,&quot;z&quot;]"},
    /* escaping happens once */
    {"{{ '<' | escape }}{{ '<' }}{{ '<' | skip_autoescape }}", "&lt;&lt;<"},
    {"{{ '&lt; < &#39; & &x' | escape_once }}", "&lt; &lt; &#39; &amp; &amp;x"},
    {"{{ '<' | escape | append: '>' }}", "&amp;lt;&gt;"},
    {"{% capture x %}<b>{{ '<' }}</b>{% endcapture %}{{ x }}", "<b>&lt;</b>"},
    {"{% assign x = '<' %}{{ x }}", "&lt;"},
    /* white space */
    {"a  {{- 1 -}}  b", "a1b"},
    {"a {%- if true -%} b {%- endif -%} c", "abc"},
    {"a {{ 1 -}}\n\n b", "a 1b"},
    /* filters */
    {"{{ task.input.utf | upcase }} {{ task.input.utf | downcase }}", "ÜBER ÄΩ über äω"},
    {"{{ 'hELLO wORLD' | capitalize }}", "Hello world"},
    {"{{ task.input.utf | size }} {{ task.input.list | size }} {{ 5 | size }}", "7 3 0"},
    {"{{ task.input.list | first }}{{ task.input.list | last }}[{{ task.input.empty | last }}]",
     "xz[]"},
    {"{{ task.input.list | join: ', ' }} {{ task.input.numbers | join }}", "x, y, z 1 2 3 4"},
    {"{{ task.input.csv | split: ',' | join: '|' }}", "a|b||c"},
    {"{{ 'a1b' | split: '' | join: '-' }}", "a-1-b"},
    {"{{ task.input.csv | split: ',' }}",
     "[&quot;a&quot;,&quot;b&quot;,&quot;&quot;,&quot;c&quot;]"},
    {"{{ 'aXbXc' | replace: 'X', '--' }} {{ 'aXb' | remove: 'X' }} {{ 'a' | replace: '', 'b' }}",
     "a--b--c ab a"},
    {"{{ 'b' | append: 'c' | prepend: 'a' }}", "abc"},
    {"[{{ task.input.padded | strip }}][{{ task.input.padded | lstrip }}]"
     "[{{ task.input.padded | rstrip }}]",
     "[in][in  ][  in]"},
    {"{{ 'abcdefgh' | truncate: 5 }} {{ 'abcdefgh' | truncate: 5, '' }} {{ 'ab' | truncate: 5 }}",
     "ab... abcde ab"},
    {"{{ task.input.utf | truncate: 5, '…' }}", "über…"},
    {"{{ task.input.none | default: 'd' }}{{ task.input.blank | default: 'd' }}"
     "{{ task.input.empty | default: 'd' }}{{ task.input.no | default: 'd' }}"
     "{{ task.input.n | default: 'd' }}",
     "dddd3"},
    {"{{ task.input.lines | newline_to_br }}", "one<br />\ntwo"},
    {"{{ '<\n' | newline_to_br }}", "&lt;<br />\n"},
    {"{{ 3 | plus: 4 }} {{ 3 | minus: 4 }} {{ 3 | times: 1.5 }} {{ task.input.digits | plus: 1 }}",
     "7 -1 4.5 13.0"},
    {"{{ 7 | divided_by: 2 }} {{ -7 | divided_by: 2 }} {{ 7.0 | divided_by: 2 }} {{ 7 | modulo: 4 "
     "}}",
     "3 -4 3.5 3"},
    {"{{ task.input.p | times: 100 | round }}% {{ 2.345 | round: 1 }}", "61% 2.3"},
    /* conditions */
    {"{% if task.input.yes %}y{% else %}n{% endif %}", "y"},
    {"{% if task.input.no %}y{% elsif task.input.n > 2 %}e{% else %}n{% endif %}", "e"},
    {"{% unless task.input.none %}u{% else %}n{% endunless %}", "u"},
    {"{% if '' %}empty text is true{% endif %}", "empty text is true"},
    {"{% if task.input.blank == empty %}1{% endif %}{% if task.input.empty == empty %}2{% endif %}"
     "{% if task.input.none == blank %}3{% endif %}{% if task.input.none == empty %}4{% endif %}",
     "123"},
    {"{% if task.input.list contains 'y' %}1{% endif %}"
     "{% if task.input.taskObject contains '<' %}2{% endif %}"
     "{% if task.input.object contains 'k' %}3{% endif %}"
     "{% if task.input.list contains 'w' %}4{% endif %}",
     "123"},
    {"{% if 1 == 1.0 %}1{% endif %}{% if '1' == 1 %}2{% endif %}{% if 'a' < 'b' %}3{% endif %}"
     "{% if 'a' < 1 %}4{% endif %}{% if nil < 1 %}5{% endif %}{% if 2 <> 3 %}6{% endif %}"
     "{% if 2 >= 2 and 2 <= 2 %}7{% endif %}",
     "1367"},
    {"{% if false and false or true %}right first{% else %}left first{% endif %}", "left first"},
    {"{% if true or false and false %}right first{% endif %}", "right first"},
    {"{% if task.input.list == task.input.list %}same{% endif %}", "same"},
    {"{% case task.input.n %} never {% when 1, 2 %}few{% when 3 or 4 %}some{% else %}many"
     "{% endcase %}",
     "some"},
    {"{% case 'q' %}{% when 'a' %}a{% else %}other{% endcase %}", "other"},
    {"{% case 'q' %}{% when 'a' %}a{% endcase %}", ""},
    /* loops */
    {"{% for x in task.input.list %}{{ x }}{{ forloop.index }}{% unless forloop.last %},"
     "{% endunless %}{% endfor %}",
     "x1,y2,z3"},
    {"{% for x in task.input.list reversed %}{{ x }}{{ forloop.rindex0 }}{% endfor %}", "z2y1x0"},
    {"{% for x in task.input.numbers limit:2 offset:1 %}{{ x }}{% endfor %}", "23"},
    {"{% for x in task.input.numbers reversed limit:2 offset:1 %}{{ x }}{% endfor %}", "32"},
    {"{% for x in task.input.empty %}{{ x }}{% else %}none{% endfor %}", "none"},
    {"{% for x in task.input.nothing %}{{ x }}{% else %}none{% endfor %}", "none"},
    {"{% for x in (1..task.input.n) %}{{ x }}{% endfor %}", "123"},
    {"{% for x in (3..1) %}{{ x }}{% else %}-{% endfor %}", "-"},
    {"{% for x in task.input.numbers %}{% if x == 3 %}{% break %}{% endif %}{{ x }}{% endfor %}!",
     "12!"},
    {"{% for x in task.input.numbers %}{% if x == 3 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
     "124"},
    {"{% for p in task.input.object %}{{ p[0] }};{% endfor %}", "k;a key;"},
    {"{% for a in (1..2) %}{% for b in (1..2) %}{{ forloop.parentloop.index }}{{ b }} {% endfor %}"
     "{% endfor %}",
     "11 12 21 22 "},
    {"{% for x in 'one' %}{{ x }}{{ forloop.length }}{% endfor %}", "one1"},
    {"{% assign t = 0 %}{% for x in task.input.numbers %}{% assign t = t | plus: x %}{% endfor %}"
     "{{ t }}",
     "10"},
    {"{% assign f = 1 %}{% for x in (1..1) %}{% assign f = forloop %}{% endfor %}[{{ f.index }}]",
     "[]"},
    {"{% for x in (1..2) %}{{ x }}{% endfor %}{{ x }}", "12"},
    /* what is no Liquid */
    {"{% raw %}{{ x }} {% if %}{% endraw %}", "{{ x }} {% if %}"},
    {"a{% comment %} {{ ' }} {% if x %} {% endcomment %}b", "ab"},
    {"a {%- raw -%} b {%- endraw -%} c", "a b c"},
    {"{% # a note %}x", "x"},
    {"ünïcödé {{ 'ß' }}", "ünïcödé ß"},
};

static void test_render__gives_the_page(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        hone_buf out;
        hone_err err = render(pages[i].tpl, &out);
        if (hone_failed(err)) fail_msg("%s: %s", pages[i].tpl, err.msg);
        if (!hone_str_equal(hone_buf_str(&out), hone_str_of(pages[i].page)))
            fail_msg("%s\n gave     '%.*s'\n expected '%s'", pages[i].tpl,
                     HONE_ARG(hone_buf_str(&out)), pages[i].page);
        hone_buf_done(&out);
    }
}

static const struct {
    const char *tpl, *words;
} refused[] = {
    {"a\nb {{ x", "line 2: an output '{{' is not closed"},
    {"{% if x", "line 1: a tag '{%' is not closed"},
    {"\n\n{% fro x %}", "line 3: unknown tag 'fro'"},
    {"{{ x | nonsense }}", "line 1: unknown filter 'nonsense'"},
    {"{{ x | append }}", "filter 'append' takes 1 to 1 arguments"},
    {"{{ x | strip: 1 }}", "filter 'strip' takes 0 to 0"},
    {"{{ x | replace: 1, 2, 3 }}", "filter 'replace' takes 2 to 2"},
    {"{{ x y }}", "expected the end of the tag, not 'y'"},
    {"{{ 'x }}", "a string has no end"},
    {"{{ x[1 }}", "expected ']', but the tag ends"},
    {"{{ x. }}", "expected a name"},
    {"{{ | escape }}", "expected a value, not '|'"},
    {"{{ x ; y }}", "no expression has ';'"},
    {"{{ 1234567890123456789 }}", "over 18 digits"},
    {"{% if %}{% endif %}", "expected a value, but the tag ends"},
    {"\n{% if x %}\n{% for y in z %}{% endfor %}", "line 2: 'if' has no 'endif'"},
    {"{% if x %}{% else %}{% else %}{% endif %}", "'else' stands where it does not belong"},
    {"{% if x %}{% else %}{% elsif y %}{% endif %}", "'elsif' stands where"},
    {"{% endif %}", "'endif' stands where it does not belong"},
    {"{% if x %}{% endfor %}", "'endfor' stands where"},
    {"{% if x | upcase %}{% endif %}", "expected the end of the tag, not '|'"},
    {"{% case x %}{% else %}{% when 1 %}{% endcase %}", "'when' stands where"},
    {"{% for x of y %}{% endfor %}", "expected 'in', not 'of'"},
    {"{% for x in y sideways %}{% endfor %}", "expected limit, offset or reversed"},
    {"{% for x in y offset:continue %}{% endfor %}x", ""},
    {"{% for x in (1..) %}{% endfor %}", "expected a value, not ')'"},
    {"{% assign x %}", "expected '=', but the tag ends"},
    {"{% capture %}{% endcapture %}", "expected a name"},
    {"{% break now %}", "'break' takes nothing more"},
    {"\n{% raw %}\n\n{{", "line 2: 'endraw' is missing"},
    {"{% comment %}", "'endcomment' is missing"},
    {"\xff", "is UTF-8"},
};

static void test_check__names_the_line_and_what_is_wrong(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        hone_err err = hone_liquid_check(hone_str_of(refused[i].tpl));
        if (refused[i].words[0] == '\0') { /* a variable of that name: nothing wrong */
            CHECK_OK(err);
            continue;
        }
        if (!hone_failed(err)) fail_msg("%s: expected a refusal", refused[i].tpl);
        if (err.code != HONE_E_INVALID || !strstr(err.msg, refused[i].words))
            fail_msg("%s: '%s', expected '%s'", refused[i].tpl, err.msg, refused[i].words);
    }
}

static void test_render__errors_of_a_run_name_the_line(void **state) {
    (void)state;
    hone_buf out;
    CHECK_FAILS(render("\n{{ 1 | divided_by: 0 }}", &out), HONE_E_INVALID,
                "line 2: divided_by: division by zero");
    hone_buf_done(&out);
    CHECK_FAILS(render("\n\n{{ 'x' | truncate: 'y' }}", &out), HONE_E_INVALID, "line 3: truncate");
    hone_buf_done(&out);
}

/* Each would take for ever, or all memory, or the whole stack. */
static const struct {
    const char *tpl, *words;
} exploding[] = {
    {"{% for a in (1..999999999) %}{% endfor %}", "does not come to an end"},
    {"{% for a in (1..9999) %}{% for b in (1..9999) %}{% for c in (1..9999) %}{% endfor %}"
     "{% endfor %}{% endfor %}",
     "does not come to an end"},
    {"{% assign x = 'ab' %}{% for a in (1..99) %}{% assign x = x | append: x %}{% endfor %}",
     "line 1: "},
    {"{% assign x = '0123456789' %}{% for a in (1..999999) %}{{ x }}{% assign x = x | append: x %}"
     "{% endfor %}",
     "line 1: "},
    {"{% assign x = (1..999999999) | join %}", "line 1: "},
    {"{% assign x = 'a' %}{% for a in (1..20) %}{% assign x = x | append: x %}{% endfor %}"
     "{% for a in (1..999999) %}{% if x contains 'b' %}{% endif %}{% endfor %}",
     "does not come to an end"},
    {"{% for a in (1..999999) %}{% capture x %}{{ x }}{{ x }}y{% endcapture %}{% endfor %}",
     "line 1: "},
    {"{% assign x = 'a' %}{% for a in (1..19) %}{% assign x = x | append: x %}{% endfor %}"
     "{% for a in (1..99) %}{{ x }}{% endfor %}",
     "the page is larger than"},
    {"{% assign x = 'a' %}{% for a in (1..21) %}{% assign x = x | append: x %}{% endfor %}"
     "{% assign y = x | split: '' %}",
     "MiB of memory"},
};

static void test_render__an_endless_or_exploding_template_is_an_error(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof exploding / sizeof exploding[0]; i++) {
        hone_buf out;
        hone_err err = render(exploding[i].tpl, &out);
        if (err.code != HONE_E_INVALID || !strstr(err.msg, exploding[i].words))
            fail_msg("%s: code %d '%s', expected '%s'", exploding[i].tpl, (int)err.code,
                     err.msg ? err.msg : "", exploding[i].words);
        assert_true(out.len <= HONE_LIQUID_OUTPUT_MAX);
        hone_buf_done(&out);
    }
}

/* count times piece. */
static hone_err check_repeated(const char *head, const char *piece, size_t count) {
    hone_buf buf;
    hone_buf_init(&buf, 1 << 22);
    hone_buf_push(&buf, hone_str_of(head));
    for (size_t i = 0; i < count; i++) hone_buf_push(&buf, hone_str_of(piece));
    hone_err err = hone_liquid_check(hone_buf_str(&buf));
    hone_buf_done(&buf);
    return err;
}

static void test_check__nesting_is_bounded(void **state) {
    (void)state;
    CHECK_FAILS(check_repeated("", "{% if x %}", 30000), HONE_E_INVALID, "blocks lie over 64 deep");
    CHECK_FAILS(check_repeated("{{ a", "[b", 30000), HONE_E_INVALID, "is not closed");
    CHECK_FAILS(check_repeated("{% if (", "(1..", 30000), HONE_E_INVALID, "is not closed");
    CHECK_FAILS(check_repeated("{{ x }}{% if a %}{% endif %}{% if a", " and a", 30000),
                HONE_E_INVALID, "is not closed");
    hone_buf buf;
    hone_buf_init(&buf, 1 << 20);
    hone_buf_push(&buf, HONE_S("{{ a"));
    for (int i = 0; i < 1000; i++) hone_buf_push(&buf, HONE_S("[a"));
    hone_buf_push(&buf, HONE_S("}}"));
    CHECK_FAILS(hone_liquid_check(hone_buf_str(&buf)), HONE_E_INVALID, "over 16 deep");
    hone_buf_done(&buf);
}

static void test_check__takes_the_pages_that_hone_brings(void **state) {
    (void)state;
    hone_arena *arena = NULL;
    hone_str page;
    hone_buf out;
    json_t *input = json_pack("{s:s}", "taskObject", "so <b> so");
    CHECK_OK(hone_arena_create(1 << 20, &arena));
    CHECK_OK(hone_file_load(arena, HONE_SOURCE_DIR "/templates/sentiment.html", 1 << 18, &page));
    hone_buf_init(&out, HONE_LIQUID_OUTPUT_MAX);
    CHECK_OK(hone_liquid_render(page, input, &out));
    static const char want[] = "<classification-target>so &lt;b&gt; so</classification-target>";
    assert_non_null(memmem(out.ptr, out.len, want, sizeof want - 1));
    hone_buf_done(&out);
    json_decref(input);
    hone_arena_destroy(arena);
}

static hone_err render_once(void *ctx) {
    (void)ctx;
    hone_buf out;
    json_t *input = json_loads(input_text, 0, NULL);
    if (!input) return hone_err_new(HONE_E_NOMEM, "the input");
    hone_buf_init(&out, HONE_LIQUID_OUTPUT_MAX);
    hone_err err = hone_liquid_render(
        HONE_S(
            "{% for x in task.input.list %}{% capture y %}{{ x | upcase }}{% endcapture %}{{ y }}"
            "{% endfor %}{{ task.input.object | to_json }}{{ task.input.csv | split: ',' | join "
            "}}"),
        input, &out);
    hone_buf_done(&out);
    json_decref(input);
    return err;
}

static void test_render__runs_out_of_memory_cleanly(void **state) {
    (void)state;
    assert_true(fault_sweep(render_once, NULL) > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_render__gives_the_page),
        cmocka_unit_test(test_check__names_the_line_and_what_is_wrong),
        cmocka_unit_test(test_render__errors_of_a_run_name_the_line),
        cmocka_unit_test(test_render__an_endless_or_exploding_template_is_an_error),
        cmocka_unit_test(test_check__nesting_is_bounded),
        cmocka_unit_test(test_check__takes_the_pages_that_hone_brings),
        cmocka_unit_test(test_render__runs_out_of_memory_cleanly),
    };
    return cmocka_run_group_tests_name("liquid", tests, NULL, NULL);
}
