/* strassen.c: see strassen_impl.h, and product_strassen.c for what is summed here. */
#include "nn/cpu/strassen_impl.h"

#include "nn/cpu/table_impl.h"
#include "nn/cpu/vec.h"

ALWAYS_INLINE vec load_if(bool is_real, const float *p) { return is_real ? vec_load(p) : (vec){0}; }

static void split(size_t rows, size_t real, size_t k, const float *in, float *to) {
    size_t half = rows / 2, wide = k / 2, part = half * wide;
    for (size_t row = 0; row < half; row++, in += k, to += wide) {
        const float *below = in + half * k;
        const bool has = row < real, has_below = half + row < real;
        for (size_t j = 0; j < wide; j += LANES) {
            vec a11 = load_if(has, in + j), a12 = load_if(has, in + wide + j);
            vec a21 = load_if(has_below, below + j), a22 = load_if(has_below, below + wide + j);
            vec s1 = a21 + a22, s2 = s1 - a11;
            vec_store(to + j, a11);
            vec_store(to + part + j, a12);
            vec_store(to + 2 * part + j, a12 - s2);
            vec_store(to + 3 * part + j, a22);
            vec_store(to + 4 * part + j, s1);
            vec_store(to + 5 * part + j, s2);
            vec_store(to + 6 * part + j, a11 - a21);
        }
    }
}

ALWAYS_INLINE void put(float *out, vec v, const float *bias, const bool accumulate) {
    if (bias) v += vec_load(bias);
    if (accumulate) v += vec_load(out);
    vec_store(out, v);
}

ALWAYS_INLINE void join_all(const hone_strassen_join *a, const float *bias, const bool accumulate) {
    size_t half = a->rows / 2, wide = a->n / 2, part = half * wide;
    const float *right = bias ? bias + wide : NULL, *p = a->parts;
    float *out = a->out, *below = a->out + half * a->n;
    for (size_t row = 0; row < half; row++, p += wide, out += a->n, below += a->n)
        for (size_t j = 0; j < wide; j += LANES) {
            vec p1 = vec_load(p + j), p5 = vec_load(p + 4 * part + j);
            vec u2 = p1 + vec_load(p + 5 * part + j), u3 = u2 + vec_load(p + 6 * part + j);
            const float *l = bias ? bias + j : NULL, *r = bias ? right + j : NULL;
            put(out + j, p1 + vec_load(p + part + j), l, accumulate);
            put(out + wide + j, u2 + p5 + vec_load(p + 2 * part + j), r, accumulate);
            put(below + j, u3 - vec_load(p + 3 * part + j), l, accumulate);
            put(below + wide + j, u3 + p5, r, accumulate);
        }
}

static void join(const hone_strassen_join *a) {
    if (a->bias) {
        if (a->accumulate)
            join_all(a, a->bias, true);
        else
            join_all(a, a->bias, false);
    } else if (a->accumulate) {
        join_all(a, NULL, true);
    } else {
        join_all(a, NULL, false);
    }
}

static void weigh(size_t count, float *const *parts) {
    for (size_t i = 0; i < count; i += LANES) {
        vec b11 = vec_load(parts[0] + i), b21 = vec_load(parts[1] + i);
        vec b22 = vec_load(parts[2] + i), b12 = vec_load(parts[6] + i);
        vec t1 = b12 - b11, t2 = b22 - t1;
        vec_store(parts[3] + i, t2 - b21);
        vec_store(parts[4] + i, t1);
        vec_store(parts[5] + i, t2);
        vec_store(parts[6] + i, b22 - b12);
    }
}

const hone_strassen_kernels HONE_PASTE(hone_strassen, HONE_ISA) = {HONE_ISA_NAME, split, join,
                                                                   weigh};
