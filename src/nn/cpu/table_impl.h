/* table_impl.h: the names that the files of cpu/ share, one set per instruction set. */
#ifndef HONE_NN_CPU_TABLE_IMPL_H
#define HONE_NN_CPU_TABLE_IMPL_H

#include "nn/ops.h"

#define HONE_PASTE_(a, b) a##_##b
#define HONE_PASTE(a, b)  HONE_PASTE_(a, b)
#define HONE_TEXT_(a)     #a
#define HONE_TEXT(a)      HONE_TEXT_(a)

#ifdef HONE_ISA
#define HONE_ISA_NAME            HONE_TEXT(HONE_ISA)
#define HONE_TABLE               HONE_PASTE(hone_ops, HONE_ISA)
#define HONE_ATTENTION(function) HONE_PASTE(HONE_PASTE(hone, function), HONE_ISA)

void HONE_ATTENTION(attention)(const hone_attention_args *args);
void HONE_ATTENTION(attention_grad)(const hone_attention_grad_args *args);
size_t HONE_ATTENTION(attention_scratch)(size_t kv_rows, size_t dim, int with_grad);
#endif

extern const hone_ops hone_ops_generic;
extern const hone_ops hone_ops_avx2;
extern const hone_ops hone_ops_avx512;

#endif
