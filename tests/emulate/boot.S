/* boot.S: the first sector of the disk: reads the kernel behind it, enters long mode with the first
 * gigabyte mapped to itself, and jumps to what was read. Assembled at 0x7C00 (run.py).
 *
 *     0x1000  page tables     0x7C00  this     0x10000  the kernel, its stack above */
#include "layout.h"

    .code16
    .globl start
start:
    ljmp $0, $1f
1:  cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7C00, %sp
    mov $packet, %si
    mov $0x42, %ah /* read sectors; dl is still the disk */
    int $0x13
    jc .
    cli
    mov $0xFF, %al /* no interrupts from here on, of any device */
    out %al, $0x21
    out %al, $0xA1
    in $0x92, %al /* addresses above 1 MiB */
    or $2, %al
    out %al, $0x92

    cld
    xor %eax, %eax
    mov $PAGE_TABLES, %edi
    mov $0x3000 / 4, %ecx
    rep stosl
    movl $PAGE_TABLES + 0x1003, PAGE_TABLES
    movl $PAGE_TABLES + 0x2003, PAGE_TABLES + 0x1000
    mov $PAGE_TABLES + 0x2000, %edi
    mov $0x83, %eax /* present, writable, 2 MiB */
2:  mov %eax, (%di)
    add $8, %di
    add $0x200000, %eax
    cmp $0x40000083, %eax
    jb 2b

    mov $0x6A0, %eax /* PAE, and SSE: OSFXSR, OSXMMEXCPT */
    mov %eax, %cr4
    mov $PAGE_TABLES, %eax
    mov %eax, %cr3
    mov $0xC0000080, %ecx /* EFER: long mode, the instruction syscall */
    mov $0x101, %eax
    xor %edx, %edx
    wrmsr
    lgdt table
    mov $0x80000023, %eax /* paging, protection, and the FPU's own errors */
    mov %eax, %cr0
    ljmpl $CODE, $KERNEL

    .balign 8
descriptors:
    .quad 0
    .quad 0x00AF9A000000FFFF /* CODE: 64 bits */
    .quad 0x00CF92000000FFFF /* DATA */
table:
    .word . - descriptors - 1
    .long descriptors
packet:
    .byte 16, 0
    .word KERNEL_SECTORS, 0, KERNEL >> 4
    .quad 1

    .org start + 510
    .word 0xAA55
