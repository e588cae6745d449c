/* memory.h: the program's memory: a heap that grows, and mappings above it. Every address is
 * mapped from the beginning, readable, writable and executable; what is here is which of them
 * are taken. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAGE = 4096 };

static inline uint64_t page_up(uint64_t n) { return (n + PAGE - 1) / PAGE * PAGE; }

void memory_init(void *free_from);
uint64_t memory_brk(uint64_t end);  /* the end of the heap, moved there where that is possible */
uint64_t memory_map(uint64_t size); /* zeroed; 0 when there is none */
void memory_unmap(uint64_t at, uint64_t size);
bool memory_is_mapped(uint64_t at, uint64_t size);

#endif
