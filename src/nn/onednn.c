/* onednn.c: the products of f32 by oneDNN 2.x, the only file that knows it.
 *
 * A matrix [rows, k] in row-major order is, to oneDNN, an image of `rows` pixels with k
 * channels (nhwc), and a linear layer a 1x1 convolution. On AVX2 that path has packed
 * weights and a kernel at 80-96 % of the machine's peak, where its matmul packs the weights
 * anew on every call (54-89 %). With AVX-512 its matmul takes packed weights, at 90 %.
 * Shapes that one of them leaves to a reference loop (odd sizes, old machines) go to the other.
 *
 * Both are written down here as the same thing: a primitive per height and per
 * `accumulate`, with source, weight, bias and destination. */
#include "nn/product_impl.h"

#include "base/hash.h"
#include "base/heap.h"
#include "nn/isa.h"

#include <assert.h>
#include <dnnl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Of the OpenMP runtime that oneDNN itself uses, gcc's: clang cannot read gcc's omp.h, and its
 * own runtime would be another team. */
void omp_set_num_threads(int threads);

#if DNNL_VERSION_MAJOR != 2
#error "onednn.c is written for oneDNN 2.x (Debian 12: libdnnl-dev 2.6)"
#endif

enum { HEIGHTS = HONE_TILE_ROWS_MAX / HONE_TILE_UNIT };

typedef struct height {
    dnnl_primitive_t run[2]; /* [accumulate] */
    dnnl_memory_desc_t in;
    dnnl_memory_desc_t out;
} height;

typedef struct onednn_product {
    hone_product base;
    bool is_matmul;
    bool is_reference; /* some primitive is */
    dnnl_memory_desc_t packed;
    dnnl_memory_desc_t bias;
    float *zero_bias; /* [n] */
    height heights[HEIGHTS];
} onednn_product;

static const onednn_product *cast(const hone_product *p) { return (const onednn_product *)p; }

/* One engine and one stream serve the process: a stream of a CPU engine holds no state. */
static dnnl_engine_t the_engine;
static dnnl_stream_t the_stream;
static dnnl_status_t the_status;

/* oneDNN stays within what runs here, of its own instruction sets. Where HONE_ISA does not
 * narrow it, it may find wider ones than we know. */
static dnnl_status_t limit_onednn(void) {
#if defined(__x86_64__)
    static const dnnl_cpu_isa_t isas[HONE_ISA_COUNT] = {
        [HONE_ISA_GENERIC] = dnnl_cpu_isa_sse41,
        [HONE_ISA_AVX2] = dnnl_cpu_isa_avx2,
        [HONE_ISA_AVX512] = dnnl_cpu_isa_avx512_core,
        [HONE_ISA_AVX512_VNNI] = dnnl_cpu_isa_avx512_core_vnni,
        [HONE_ISA_AVX512_BF16] = dnnl_cpu_isa_avx512_core_bf16,
    };
    return hone_isa_is_limited() ? dnnl_set_max_cpu_isa(isas[hone_isa_best()]) : dnnl_success;
#else
    return dnnl_success; /* nothing to choose from */
#endif
}

static void start_onednn(void) {
    the_status = limit_onednn();
    if (the_status == dnnl_success) the_status = dnnl_engine_create(&the_engine, dnnl_cpu, 0);
    if (the_status == dnnl_success)
        the_status = dnnl_stream_create(&the_stream, the_engine, dnnl_stream_default_flags);
}

/* oneDNN's own team of threads stays at one; the setting belongs to the calling thread. */
static void stay_single(void) {
    static _Thread_local bool done;
    if (done) return;
    omp_set_num_threads(1);
    done = true;
}

static hone_err start(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, start_onednn);
    stay_single();
    if (the_status == dnnl_success) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "oneDNN does not start: status %d", (int)the_status);
}

/* [rows, columns] row-major, as a matrix or as an image of rows pixels. */
static dnnl_memory_desc_t activation(bool is_matmul, size_t rows, size_t columns) {
    dnnl_memory_desc_t desc;
    int64_t r = (int64_t)rows, c = (int64_t)columns;
    const dnnl_dims_t matrix = {r, c}, image = {1, c, r, 1};
    dnnl_status_t ok = is_matmul
                           ? dnnl_memory_desc_init_by_tag(&desc, 2, matrix, dnnl_f32, dnnl_ab)
                           : dnnl_memory_desc_init_by_tag(&desc, 4, image, dnnl_f32, dnnl_nhwc);
    assert(ok == dnnl_success);
    (void)ok;
    return desc;
}

/* The weight with element (n, k) at n * n_stride + k * k_stride; strides 0 = as oneDNN likes. */
static dnnl_memory_desc_t weight_desc(const onednn_product *p, size_t n_stride, size_t k_stride) {
    dnnl_memory_desc_t desc;
    int64_t n = (int64_t)p->base.n, k = (int64_t)p->base.k;
    int64_t ns = (int64_t)n_stride, ks = (int64_t)k_stride;
    const dnnl_dims_t matrix = {k, n}, matrix_strides = {ks, ns};
    const dnnl_dims_t filter = {n, k, 1, 1}, filter_strides = {ns, ks, 1, 1};
    int rank = p->is_matmul ? 2 : 4;
    const int64_t *dims = p->is_matmul ? matrix : filter;
    dnnl_status_t ok =
        n_stride == 0
            ? dnnl_memory_desc_init_by_tag(&desc, rank, dims, dnnl_f32, dnnl_format_tag_any)
            : dnnl_memory_desc_init_by_strides(&desc, rank, dims, dnnl_f32,
                                               p->is_matmul ? matrix_strides : filter_strides);
    assert(ok == dnnl_success);
    (void)ok;
    return desc;
}

/* What out = in W^T + bias is to oneDNN, for one height and weight layout. */
static dnnl_status_t describe(const onednn_product *p, size_t rows,
                              const dnnl_memory_desc_t *weight, const_dnnl_primitive_attr_t attr,
                              dnnl_primitive_desc_t *out) {
    dnnl_memory_desc_t in = activation(p->is_matmul, rows, p->base.k);
    dnnl_memory_desc_t dst = activation(p->is_matmul, rows, p->base.n);
    dnnl_status_t status = dnnl_success;
    if (p->is_matmul) {
        dnnl_matmul_desc_t op;
        status = dnnl_matmul_desc_init(&op, &in, weight, &p->bias, &dst);
        if (status == dnnl_success)
            status = dnnl_primitive_desc_create(out, &op, attr, the_engine, NULL);
    } else {
        const dnnl_dims_t strides = {1, 1}, padding = {0, 0};
        dnnl_convolution_desc_t op;
        status = dnnl_convolution_forward_desc_init(&op, dnnl_forward_inference,
                                                    dnnl_convolution_direct, &in, weight, &p->bias,
                                                    &dst, strides, padding, padding);
        if (status == dnnl_success)
            status = dnnl_primitive_desc_create(out, &op, attr, the_engine, NULL);
    }
    return status;
}

/* Attributes: scratch comes from the caller (the library's own would tie a primitive to the
 * thread that made it), and `accumulate` is a sum with what is there. */
static dnnl_status_t make_attr(bool accumulate, dnnl_primitive_attr_t *out) {
    dnnl_status_t status = dnnl_primitive_attr_create(out);
    if (status != dnnl_success) return status;
    status = dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user);
    if (status != dnnl_success || !accumulate) return status;
    dnnl_post_ops_t ops = NULL;
    status = dnnl_post_ops_create(&ops);
    if (status != dnnl_success) return status;
    status = dnnl_post_ops_append_sum(ops, 1.0F);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(*out, ops);
    (void)dnnl_post_ops_destroy(ops);
    return status;
}

/* oneDNN's name of what runs a primitive, such as "jit_1x1:avx2" or "ref:any". */
static const char *name_of(const_dnnl_primitive_desc_t pd) {
    const char *name = NULL;
    dnnl_status_t status = dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0,
                                                     (void *)&name);
    return status == dnnl_success && name ? name : "";
}

/* The tallest tile chooses the layout of the weight, the others follow it. */
static dnnl_status_t choose_layout(onednn_product *p) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_memory_desc_t any = weight_desc(p, 0, 0);
    dnnl_status_t status = make_attr(false, &attr);
    if (status == dnnl_success) status = describe(p, HONE_TILE_ROWS_MAX, &any, attr, &pd);
    if (status == dnnl_success) {
        p->packed = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
        memcpy(p->base.engine, name_of(pd), strnlen(name_of(pd), sizeof p->base.engine - 1));
        (void)dnnl_primitive_desc_destroy(pd);
    }
    if (attr) (void)dnnl_primitive_attr_destroy(attr);
    return status;
}

static dnnl_status_t make_primitive(onednn_product *p, size_t rows, bool accumulate,
                                    dnnl_primitive_t *out) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t status = make_attr(accumulate, &attr);
    if (status == dnnl_success) status = describe(p, rows, &p->packed, attr, &pd);
    if (status == dnnl_success) {
        const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(
            pd, dnnl_query_scratchpad_md, 0);
        size_t bytes = scratch ? dnnl_memory_desc_get_size(scratch) : 0;
        if (bytes > p->base.scratch_bytes) p->base.scratch_bytes = bytes;
        if (strstr(name_of(pd), "ref")) p->is_reference = true;
        status = dnnl_primitive_create(out, pd);
        (void)dnnl_primitive_desc_destroy(pd);
    }
    if (attr) (void)dnnl_primitive_attr_destroy(attr);
    return status;
}

static dnnl_status_t make_all(onednn_product *p) {
    const dnnl_dims_t bias = {(int64_t)p->base.n}, bias_row = {1, (int64_t)p->base.n};
    dnnl_status_t status = p->is_matmul
                               ? dnnl_memory_desc_init_by_tag(&p->bias, 2, bias_row, dnnl_f32,
                                                              dnnl_ab)
                               : dnnl_memory_desc_init_by_tag(&p->bias, 1, bias, dnnl_f32, dnnl_a);
    if (status == dnnl_success) status = choose_layout(p);
    for (size_t h = 0; h < HEIGHTS && status == dnnl_success; h++) {
        size_t rows = (h + 1) * HONE_TILE_UNIT;
        p->heights[h].in = activation(p->is_matmul, rows, p->base.k);
        p->heights[h].out = activation(p->is_matmul, rows, p->base.n);
        status = make_primitive(p, rows, false, &p->heights[h].run[0]);
        if (status == dnnl_success) status = make_primitive(p, rows, true, &p->heights[h].run[1]);
    }
    return status;
}

static void destroy(hone_product *base) {
    onednn_product *p = (onednn_product *)base;
    for (size_t h = 0; h < HEIGHTS; h++)
        for (int a = 0; a < 2; a++)
            if (p->heights[h].run[a]) (void)dnnl_primitive_destroy(p->heights[h].run[a]);
    free(p->zero_bias);
    free(p);
}

/* What the bytes of a packed weight depend on: the library's version, and the layout it chose. */
static uint64_t layout_of(const onednn_product *p) {
    const dnnl_version_t *version = dnnl_version();
    uint64_t sum = hone_hash(0, hone_str_of(version->hash));
    const int numbers[] = {version->major, version->minor, version->patch, p->is_matmul};
    sum = hone_hash(sum, (hone_str){(const char *)numbers, sizeof numbers});
    return hone_hash(sum, (hone_str){(const char *)&p->packed, sizeof p->packed});
}

static const hone_product_calls calls;

hone_err hone_onednn_create_with(hone_product_kind kind, size_t k, size_t n, hone_product **out) {
    assert(k > 0 && n > 0);
    HONE_TRY(start());
    onednn_product *p = calloc(1, sizeof *p);
    if (!p) return hone_err_new(HONE_E_NOMEM, "no memory for a product");
    p->base = (hone_product){.calls = &calls, .k = k, .n = n, .rows_unit = HONE_TILE_UNIT};
    p->is_matmul = kind == HONE_PRODUCT_MATMUL;
    p->zero_bias = calloc(n, sizeof *p->zero_bias);
    dnnl_status_t status = p->zero_bias ? make_all(p) : dnnl_out_of_memory;
    if (status != dnnl_success) {
        destroy(&p->base);
        return hone_err_new(status == dnnl_out_of_memory ? HONE_E_NOMEM : HONE_E_INVALID,
                            "oneDNN has no product of %zu by %zu: status %d", k, n, (int)status);
    }
    p->base.layout = layout_of(p);
    p->base.packed_bytes = hone_heap_rounded(dnnl_memory_desc_get_size(&p->packed));
    *out = &p->base;
    return HONE_OK;
}

bool hone_onednn_is_reference(const hone_product *p) { return cast(p)->is_reference; }

/* The kind that is fastest here, unless it has no kernel of its own for the shape. */
hone_err hone_onednn_create(size_t k, size_t n, hone_product **out) {
    HONE_TRY(start());
    bool is_wide = dnnl_get_effective_cpu_isa() >= dnnl_cpu_isa_avx512_core;
    hone_product *first = NULL, *second = NULL;
    hone_err err = hone_onednn_create_with(is_wide ? HONE_PRODUCT_MATMUL : HONE_PRODUCT_CONVOLUTION,
                                           k, n, &first);
    if (first && !hone_onednn_is_reference(first)) {
        *out = first;
        return err;
    }
    if (err.code == HONE_E_NOMEM) return err;
    err = hone_onednn_create_with(is_wide ? HONE_PRODUCT_CONVOLUTION : HONE_PRODUCT_MATMUL, k, n,
                                  &second);
    if (first && hone_failed(err)) { /* slow is better than none */
        *out = first;
        return HONE_OK;
    }
    hone_product_destroy(first);
    if (!hone_failed(err)) *out = second;
    return err;
}

/* oneDNN takes what it only reads as a mutable pointer, too. */
static void *readable(const void *ptr) {
    return (void *)(uintptr_t)ptr; /* NOLINT(performance-no-int-to-ptr) */
}

static hone_err pack(const hone_product *base, const float *weight, size_t n_stride,
                     size_t k_stride, void *packed) {
    const onednn_product *p = cast(base);
    HONE_TRY(start());
    dnnl_memory_desc_t plain = weight_desc(p, n_stride, k_stride);
    dnnl_memory_t from = NULL, to = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&pd, &plain, the_engine, &p->packed,
                                                              the_engine, NULL);
    if (status == dnnl_success) status = dnnl_primitive_create(&reorder, pd);
    if (status == dnnl_success)
        status = dnnl_memory_create(&from, &plain, the_engine, readable(weight));
    if (status == dnnl_success) status = dnnl_memory_create(&to, &p->packed, the_engine, packed);
    if (status == dnnl_success) {
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
        status = dnnl_primitive_execute(reorder, the_stream, 2, args);
    }
    if (to) (void)dnnl_memory_destroy(to);
    if (from) (void)dnnl_memory_destroy(from);
    if (reorder) (void)dnnl_primitive_destroy(reorder);
    if (pd) (void)dnnl_primitive_desc_destroy(pd);
    if (status == dnnl_success) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "oneDNN cannot pack a weight: status %d", (int)status);
}

static void run(const hone_product *base, const void *packed, const float *bias, bool accumulate,
                size_t rows, const void *in, float *out, void *scratch) {
    const onednn_product *p = cast(base);
    stay_single();
    const height *h = &p->heights[rows / HONE_TILE_UNIT - 1];
    const dnnl_dims_t scratch_dims = {(int64_t)p->base.scratch_bytes};
    dnnl_memory_desc_t scratch_desc;
    (void)dnnl_memory_desc_init_by_tag(&scratch_desc, 1, scratch_dims, dnnl_u8, dnnl_a);
    const struct {
        int arg;
        const dnnl_memory_desc_t *desc;
        void *ptr;
    } operands[] = {
        {DNNL_ARG_SRC, &h->in, readable(in)},
        {DNNL_ARG_WEIGHTS, &p->packed, readable(packed)},
        {DNNL_ARG_BIAS, &p->bias, readable(bias ? bias : p->zero_bias)},
        {DNNL_ARG_DST, &h->out, out},
        {DNNL_ARG_SCRATCHPAD, &scratch_desc, scratch},
    };
    enum { OPERANDS = sizeof operands / sizeof operands[0] };
    dnnl_exec_arg_t args[OPERANDS];
    dnnl_status_t status = dnnl_success;
    int count = p->base.scratch_bytes > 0 ? OPERANDS : OPERANDS - 1;
    for (int i = 0; i < count; i++) {
        args[i].arg = operands[i].arg;
        args[i].memory = NULL;
        status |= dnnl_memory_create(&args[i].memory, operands[i].desc, the_engine,
                                     operands[i].ptr);
    }
    if (status == dnnl_success)
        status = dnnl_primitive_execute(h->run[accumulate], the_stream, count, args);
    for (int i = 0; i < count; i++)
        if (args[i].memory) (void)dnnl_memory_destroy(args[i].memory);
    /* The shapes were accepted at create, so only memory for a few handles can be missing;
     * a product that silently did not happen would be worse than stopping. */
    if (status != dnnl_success) abort();
}

static const hone_product_calls calls = {.destroy = destroy, .pack = pack, .run = run};
