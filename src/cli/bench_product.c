/* bench_product.c: `hone bench product`: one product of a layer, alone on the calling thread.
 *
 * A pass multiplies the same rows by WEIGHTS weights in turn, as the layers of a model do, so
 * that a weight comes from where it would: eight of 768 x 3072 are more than an L2 holds. The
 * operand is made anew for each. Numbers are made up: they cost the same. */
#include "base/arena.h"
#include "base/clock.h"
#include "cli/bench.h"
#include "cli/options.h"
#include "nn/product.h"

#include <stdio.h>

enum { WEIGHTS = 8, ALIGN = 64, SIDE_MAX = 1 << 14 };
static const size_t memory_max = (size_t)16 << 30;

typedef struct product_bench {
    hone_dtype dtype;
    size_t rows, inputs, outputs, repeat;
    hone_product *product;
    hone_arena *arena; /* owns all that follows */
    float *in, *out, *bias;
    char *packed; /* [WEIGHTS] of packed_bytes */
    void *operand, *scratch;
    size_t packed_bytes;
} product_bench;

/* Zeroed, and aligned as products want it; NULL when there is no memory. */
static void *take(hone_arena *arena, size_t bytes) {
    char *memory = hone_arena_alloc(arena, bytes + ALIGN, 1);
    return memory ? memory + (ALIGN - (uintptr_t)memory % ALIGN) % ALIGN : NULL;
}

/* Small numbers of both signs, the same in every run. */
static void invent(float *values, size_t count) {
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525U + 1013904223U;
        values[i] = (float)(state >> 8) * 0x1p-24F - 0.5F;
    }
}

static hone_err set_up(product_bench *b) {
    HONE_TRY(hone_product_create(b->dtype, b->inputs, b->outputs, &b->product));
    HONE_TRY(hone_arena_create(memory_max, &b->arena));
    size_t aligned = (hone_product_packed_bytes(b->product) + ALIGN - 1) / ALIGN * ALIGN;
    b->packed_bytes = aligned;
    b->in = take(b->arena, b->rows * b->inputs * sizeof(float));
    b->out = take(b->arena, b->rows * b->outputs * sizeof(float));
    b->bias = take(b->arena, b->outputs * sizeof(float));
    b->packed = take(b->arena, aligned * WEIGHTS);
    b->operand = take(b->arena, hone_product_operand_bytes(b->product));
    b->scratch = take(b->arena, hone_product_scratch_bytes(b->product));
    float *weight = take(b->arena, b->inputs * b->outputs * sizeof(float));
    if (!b->in || !b->out || !b->bias || !b->packed || !b->operand || !b->scratch || !weight)
        return hone_err_new(HONE_E_NOMEM, "no memory for products of %zu x %zu", b->inputs,
                            b->outputs);
    invent(b->in, b->rows * b->inputs);
    invent(weight, b->inputs * b->outputs);
    for (size_t i = 0; i < WEIGHTS; i++)
        HONE_TRY(hone_product_pack(b->product, weight, b->inputs, 1, b->packed + i * aligned));
    return HONE_OK;
}

static void one_pass(product_bench *b) {
    for (size_t i = 0; i < WEIGHTS; i++) {
        const void *operand = hone_product_operand(b->product, b->rows, b->in, b->operand);
        hone_product_run(b->product, b->packed + i * b->packed_bytes, b->bias, false, b->rows,
                         operand, b->out, b->scratch);
    }
}

static hone_err measure(product_bench *b) {
    hone_bench_times times;
    HONE_TRY(set_up(b));
    HONE_TRY(hone_bench_times_init(&times, b->repeat));
    one_pass(b);
    for (size_t i = 0; i < b->repeat; i++) {
        int64_t begin = hone_clock_ns();
        one_pass(b);
        hone_bench_times_push(&times, hone_clock_ns() - begin);
    }
    hone_bench_summary s = hone_bench_times_summary(&times);
    double flops = 2.0 * (double)b->rows * (double)b->inputs * (double)b->outputs;
    printf("{\"bench\": \"product\", \"dtype\": \"%s\", \"engine\": \"%s\", \"rows\": %zu, "
           "\"inputs\": %zu, \"outputs\": %zu, \"repeat\": %zu, \"median_s\": %.9f, "
           "\"min_s\": %.9f, \"p90_s\": %.9f, \"gflops\": %.2f}\n",
           hone_dtype_name(b->dtype), hone_product_engine(b->product), b->rows, b->inputs,
           b->outputs, b->repeat, s.median_s / WEIGHTS, s.min_s / WEIGHTS, s.p90_s / WEIGHTS,
           flops * WEIGHTS / s.median_s * 1e-9);
    hone_bench_times_done(&times);
    return HONE_OK;
}

static hone_err check(const product_bench *b) {
    if (b->rows == 0 || b->rows > HONE_TILE_ROWS_MAX || b->rows % HONE_TILE_UNIT)
        return hone_err_new(HONE_E_INVALID, "--rows %zu: expected a multiple of %d up to %d",
                            b->rows, HONE_TILE_UNIT, HONE_TILE_ROWS_MAX);
    if (b->inputs == 0 || b->outputs == 0 || b->inputs > SIDE_MAX || b->outputs > SIDE_MAX)
        return hone_err_new(HONE_E_INVALID, "--inputs and --outputs must be from 1 to %d",
                            SIDE_MAX);
    if (b->repeat == 0) return hone_err_new(HONE_E_INVALID, "--repeat 0: expected at least 1");
    return HONE_OK;
}

hone_err hone_bench_product(int argc, char **argv) {
    product_bench b = {.rows = HONE_TILE_ROWS_MAX, .inputs = 768, .outputs = 768, .repeat = 50};
    const hone_option options[] = {
        {"rows", "N", "rows of a tile, a multiple of 8 (128)", HONE_OPT_SIZE, &b.rows, false},
        {"inputs", "K", "numbers in a row (768)", HONE_OPT_SIZE, &b.inputs, false},
        {"outputs", "N", "numbers in a row of what comes out (768)", HONE_OPT_SIZE, &b.outputs,
         false},
        {"repeat", "N", "passes over the eight weights (50)", HONE_OPT_SIZE, &b.repeat, false},
        HONE_DTYPE_OPTION(b.dtype),
        {0}};
    const hone_usage usage = {"bench product", "[flags]",
                              "Time one matrix product on one thread; prints one JSON line."};
    size_t words = 0;
    bool help = false;
    HONE_TRY(hone_options_parse(&usage, options, argc, argv, NULL, 0, &words, &help));
    if (help) return HONE_OK;
    HONE_TRY(check(&b));
    hone_err err = measure(&b);
    hone_product_destroy(b.product);
    hone_arena_destroy(b.arena);
    return err;
}
