/* safetensors.c: see safetensors.h for the layout.
 *
 * Opening makes one table of tensors, sorted by name, whose entries point into the file;
 * finding is a binary search. The checks follow the format's own rules: the tensors cover
 * the data exactly, so neither a hole nor an overlap nor a trailing byte is let through.
 * Not done: types narrower than a byte are listed, but nobody can read them as floats. */
#include "model/safetensors.h"

#include "base/buf.h"
#include "base/json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format and this file are both LE");

enum {
    LENGTH_BYTES = 8, /* the u64 before the header */
    ALIGNMENT = 8,    /* of the data of files that hone writes */
    /* The format allows 100 MB. A 256-layer BERT needs 0.5 MB, and parsed JSON takes some
     * 30 times its text, which a hostile file would make us hold. */
    HEADER_LIMIT_BYTES = 16 << 20,
};

struct hone_safetensors {
    hone_map map;   /* no bytes when parsed from memory */
    json_t *header; /* owns the names */
    hone_tensor *tensors;
    size_t count;
};

/* Every type of the format: what hone calls it, and bits per element. */
static const struct {
    const char *name;
    hone_tensor_type dtype;
    uint64_t bits;
} DTYPES[] = {
    {"F32", HONE_F32, 32},          {"F16", HONE_F16, 16},      {"BF16", HONE_BF16, 16},
    {"I64", HONE_I64, 64},          {"I32", HONE_I32, 32},      {"F64", HONE_OTHER, 64},
    {"I16", HONE_OTHER, 16},        {"I8", HONE_OTHER, 8},      {"U64", HONE_OTHER, 64},
    {"U32", HONE_OTHER, 32},        {"U16", HONE_OTHER, 16},    {"U8", HONE_OTHER, 8},
    {"BOOL", HONE_OTHER, 8},        {"C64", HONE_OTHER, 64},    {"F8_E4M3", HONE_OTHER, 8},
    {"F8_E5M2", HONE_OTHER, 8},     {"F8_E8M0", HONE_OTHER, 8}, {"F8_E4M3FNUZ", HONE_OTHER, 8},
    {"F8_E5M2FNUZ", HONE_OTHER, 8}, {"F6_E2M3", HONE_OTHER, 6}, {"F6_E3M2", HONE_OTHER, 6},
    {"F4", HONE_OTHER, 4},
};

/* ---- reading ---- */

static hone_err read_dims(const json_t *shape, const char *where, hone_tensor *t) {
    if (!json_is_array(shape))
        return hone_err_new(HONE_E_CORRUPT, "%s: tensor '%s' has no 'shape'", where, t->name);
    t->rank = json_array_size(shape);
    if (t->rank > HONE_TENSOR_RANK_MAX)
        return hone_err_new(HONE_E_CORRUPT,
                            "%s: tensor '%s' has %zu dimensions, at most %d are read", where,
                            t->name, t->rank, HONE_TENSOR_RANK_MAX);
    t->count = 1;
    for (size_t i = 0; i < t->rank; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return hone_err_new(HONE_E_CORRUPT, "%s: dimension %zu of tensor '%s' is no size",
                                where, i, t->name);
        t->dims[i] = json_integer_value(dim);
        if (__builtin_mul_overflow(t->count, (size_t)t->dims[i], &t->count))
            return hone_err_new(HONE_E_CORRUPT, "%s: the shape of tensor '%s' overflows", where,
                                t->name);
    }
    return HONE_OK;
}

/* data_offsets = [begin, end] within the data of size_bytes. */
static hone_err read_offsets(const json_t *offsets, const char *where, hone_str data,
                             hone_tensor *t) {
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return hone_err_new(HONE_E_CORRUPT, "%s: tensor '%s' has no pair 'data_offsets'", where,
                            t->name);
    json_int_t a = json_integer_value(begin), b = json_integer_value(end);
    if (a < 0 || b < a || (uint64_t)b > data.len)
        return hone_err_new(HONE_E_CORRUPT,
                            "%s: tensor '%s' lies at bytes %lld to %lld of %zu bytes of data",
                            where, t->name, (long long)a, (long long)b, data.len);
    t->data = data.ptr + a;
    t->size_bytes = (size_t)(b - a);
    return HONE_OK;
}

/* The bytes that shape and type ask for are those that the offsets give. A type that came
 * after this was written has an unknown width; nothing reads it. */
static hone_err read_dtype(const json_t *dtype, const char *where, hone_tensor *t) {
    const char *name = json_string_value(dtype);
    if (!name)
        return hone_err_new(HONE_E_CORRUPT, "%s: tensor '%s' has no 'dtype'", where, t->name);
    t->dtype = HONE_OTHER;
    for (size_t i = 0; i < sizeof DTYPES / sizeof *DTYPES; i++) {
        if (strcmp(name, DTYPES[i].name) != 0) continue;
        uint64_t bits = 0;
        if (__builtin_mul_overflow((uint64_t)t->count, DTYPES[i].bits, &bits) || bits % 8 != 0 ||
            bits / 8 != t->size_bytes)
            return hone_err_new(HONE_E_CORRUPT,
                                "%s: tensor '%s' has %zu bytes, its shape asks for %zu x %s", where,
                                t->name, t->size_bytes, t->count, name);
        t->dtype = DTYPES[i].dtype;
    }
    return HONE_OK;
}

static hone_err read_tensor(const char *name, const json_t *entry, const char *where, hone_str data,
                            hone_tensor *t) {
    *t = (hone_tensor){.name = name};
    if (!json_is_object(entry))
        return hone_err_new(HONE_E_CORRUPT, "%s: tensor '%s' is not described by an object", where,
                            name);
    HONE_TRY(read_dims(json_object_get(entry, "shape"), where, t));
    HONE_TRY(read_offsets(json_object_get(entry, "data_offsets"), where, data, t));
    return read_dtype(json_object_get(entry, "dtype"), where, t);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const hone_tensor *)a)->name, ((const hone_tensor *)b)->name);
}

static int by_place(const void *a, const void *b) {
    const hone_tensor *x = a, *y = b;
    if (x->data != y->data) return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return x->size_bytes < y->size_bytes ? -1 : x->size_bytes > y->size_bytes;
}

/* tensors, sorted by place, follow each other from the first byte of data to the last. */
static hone_err check_cover(const hone_safetensors *file, const char *where, hone_str data) {
    const char *next = data.ptr;
    for (size_t i = 0; i < file->count; i++) {
        const hone_tensor *t = &file->tensors[i];
        if ((const char *)t->data != next)
            return hone_err_new(HONE_E_CORRUPT, "%s: tensor '%s' begins at byte %zu, expected %zu",
                                where, t->name, (size_t)((const char *)t->data - data.ptr),
                                (size_t)(next - data.ptr));
        next += t->size_bytes;
    }
    size_t used = (size_t)(next - data.ptr);
    if (used != data.len)
        return hone_err_new(HONE_E_CORRUPT, "%s: %zu bytes of data, its tensors take %zu", where,
                            data.len, used);
    return HONE_OK;
}

/* The table of tensors from file->header. */
static hone_err read_tensors(hone_safetensors *file, const char *where, hone_str data) {
    size_t entries = json_object_size(file->header);
    file->tensors = calloc(entries + 1, sizeof *file->tensors);
    if (!file->tensors)
        return hone_err_new(HONE_E_NOMEM, "no memory for the %zu tensors of %s", entries, where);
    for (void *at = json_object_iter(file->header); at;
         at = json_object_iter_next(file->header, at)) {
        const char *name = json_object_iter_key(at);
        if (strcmp(name, "__metadata__") == 0) continue;
        HONE_TRY(read_tensor(name, json_object_iter_value(at), where, data,
                             &file->tensors[file->count]));
        file->count++;
    }
    qsort(file->tensors, file->count, sizeof *file->tensors, by_place);
    HONE_TRY(check_cover(file, where, data));
    qsort(file->tensors, file->count, sizeof *file->tensors, by_name);
    return HONE_OK;
}

/* Split bytes into header, parsed, and data. Duplicate names are refused by the parser. */
static hone_err read_header(hone_str bytes, const char *where, json_t **header, hone_str *data) {
    uint64_t len = 0;
    if (bytes.len < LENGTH_BYTES)
        return hone_err_new(HONE_E_CORRUPT, "%s: %zu bytes are too few for a safetensors file",
                            where, bytes.len);
    memcpy(&len, bytes.ptr, sizeof len);
    if (len > HEADER_LIMIT_BYTES)
        return hone_err_new(HONE_E_CORRUPT,
                            "%s: its header claims %llu bytes, at most %d are read; is it a "
                            "safetensors file?",
                            where, (unsigned long long)len, HEADER_LIMIT_BYTES);
    if (len > bytes.len - LENGTH_BYTES)
        return hone_err_new(HONE_E_CORRUPT,
                            "%s: truncated: its header claims %llu bytes, the file has %zu", where,
                            (unsigned long long)len, bytes.len);

    json_error_t e;
    *header = json_loadb(bytes.ptr + LENGTH_BYTES, (size_t)len, JSON_REJECT_DUPLICATES, &e);
    if (!*header)
        return hone_err_new(HONE_E_CORRUPT, "%s: header is no JSON at byte %d: %s", where,
                            e.position, e.text);
    if (!json_is_object(*header))
        return hone_err_new(HONE_E_CORRUPT, "%s: header is no JSON object", where);
    *data = (hone_str){bytes.ptr + LENGTH_BYTES + len, bytes.len - LENGTH_BYTES - (size_t)len};
    return HONE_OK;
}

hone_err hone_safetensors_parse(hone_str bytes, const char *where, hone_safetensors **out) {
    hone_safetensors *file = calloc(1, sizeof *file);
    if (!file) return hone_err_new(HONE_E_NOMEM, "no memory to open %s", where);
    hone_str data = {NULL, 0};
    hone_err err = read_header(bytes, where, &file->header, &data);
    if (!hone_failed(err)) err = read_tensors(file, where, data);
    if (hone_failed(err)) {
        hone_safetensors_close(file);
        return err;
    }
    *out = file;
    return HONE_OK;
}

hone_err hone_safetensors_open(const char *path, hone_safetensors **out) {
    hone_map map;
    HONE_TRY(hone_map_open(path, &map));
    hone_safetensors *file = NULL;
    hone_err err = hone_safetensors_parse(map.bytes, path, &file);
    if (hone_failed(err)) {
        hone_map_close(&map);
        return err;
    }
    file->map = map;
    *out = file;
    return HONE_OK;
}

void hone_safetensors_close(hone_safetensors *file) {
    if (!file) return;
    free(file->tensors);
    json_decref(file->header);
    hone_map_close(&file->map);
    free(file);
}

size_t hone_safetensors_count(const hone_safetensors *file) { return file->count; }

const hone_tensor *hone_safetensors_get(const hone_safetensors *file, size_t index) {
    assert(index < file->count);
    return &file->tensors[index];
}

const hone_tensor *hone_safetensors_find(const hone_safetensors *file, const char *name) {
    const hone_tensor key = {.name = name};
    return bsearch(&key, file->tensors, file->count, sizeof key, by_name);
}

void hone_safetensors_release(const hone_safetensors *file) { hone_map_release(&file->map); }

/* ---- conversion ---- */

static uint16_t load_u16(const char *at) {
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    return bits;
}

static float float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* sign 1 | exponent 5, bias 15 | fraction 10. Subnormals are fraction * 2^-24, made by a
 * product of normal numbers, so that flush-to-zero modes cannot lose them. */
static float float_of_f16(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t magnitude = half & 0x7FFFu;
    if (magnitude >= 0x7C00u) return float_of_bits(sign | 0x7F800000u | (magnitude & 0x3FFu) << 13);
    if (magnitude >= 0x0400u)
        return float_of_bits(sign | ((magnitude << 13) + ((127u - 15u) << 23)));
    float tiny = (float)magnitude * 0x1p-24f;
    return sign ? -tiny : tiny;
}

void hone_tensor_to_f32(const hone_tensor *tensor, float *out) {
    const char *data = tensor->data;
    switch (tensor->dtype) {
    case HONE_F32:
        if (tensor->count > 0) memcpy(out, data, tensor->count * sizeof *out);
        break;
    case HONE_F16:
        for (size_t i = 0; i < tensor->count; i++) out[i] = float_of_f16(load_u16(data + 2 * i));
        break;
    case HONE_BF16: /* the upper half of a float */
        for (size_t i = 0; i < tensor->count; i++)
            out[i] = float_of_bits((uint32_t)load_u16(data + 2 * i) << 16);
        break;
    case HONE_I64:
    case HONE_I32:
    case HONE_OTHER:
        assert(tensor->dtype < HONE_I64);
        break; /* a caller's mistake */
    }
}

/* ---- writing ---- */

static size_t count_of(const hone_tensor_out *t) {
    size_t count = 1;
    for (size_t i = 0; i < t->rank; i++) count *= (size_t)t->dims[i];
    return count;
}

/* The length and the header, padded with spaces so that the data is aligned. */
static void format_header(hone_buf *out, const hone_tensor_out *tensors, size_t count) {
    static const char no_length[LENGTH_BYTES];
    hone_buf_push(out, (hone_str){no_length, sizeof no_length});
    hone_buf_push(out, HONE_S("{\"__metadata__\":{\"format\":\"pt\"}"));
    size_t end = 0;
    for (size_t i = 0; i < count; i++) {
        const hone_tensor_out *t = &tensors[i];
        size_t begin = end;
        end += count_of(t) * sizeof(float);
        hone_buf_push_char(out, ',');
        hone_json_push_str(out, hone_str_of(t->name));
        hone_buf_push(out, HONE_S(":{\"dtype\":\"F32\",\"shape\":["));
        for (size_t d = 0; d < t->rank; d++)
            hone_buf_printf(out, "%s%lld", d ? "," : "", (long long)t->dims[d]);
        hone_buf_printf(out, "],\"data_offsets\":[%zu,%zu]}", begin, end);
    }
    hone_buf_push_char(out, '}');
    while (!out->failed && out->len % ALIGNMENT != 0) hone_buf_push_char(out, ' ');
    if (out->failed) return;
    uint64_t len = out->len - LENGTH_BYTES;
    memcpy(out->ptr, &len, sizeof len);
}

hone_err hone_safetensors_save(const char *path, const hone_tensor_out *tensors, size_t count) {
    hone_buf header;
    hone_buf_init(&header, HEADER_LIMIT_BYTES);
    format_header(&header, tensors, count);
    hone_err err = hone_buf_err(&header);
    hone_str *parts = NULL;
    if (!hone_failed(err) && !(parts = calloc(count + 1, sizeof *parts)))
        err = hone_err_new(HONE_E_NOMEM, "no memory for the names of %zu tensors", count);
    if (!hone_failed(err)) {
        parts[0] = hone_buf_str(&header);
        for (size_t i = 0; i < count; i++)
            parts[i + 1] = (hone_str){(const char *)tensors[i].data,
                                      count_of(&tensors[i]) * sizeof(float)};
        err = hone_file_save_parts(path, parts, count + 1);
    }
    free(parts);
    hone_buf_done(&header);
    return err;
}
