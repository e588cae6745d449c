/* entry.S: where the kernel is entered: from the boot sector, by the program's system calls, and
 * when the processor finds something wrong. Program and kernel run in ring 0. */
#include "layout.h"

    .section .entry, "ax"
    .globl entry
entry:
    mov $DATA, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $KERNEL_STACK, %rsp
    lea bss_start(%rip), %rdi
    lea bss_end(%rip), %rcx
    sub %rdi, %rcx
    xor %eax, %eax
    rep stosb
    call kernel
    hlt

    .text
/* The running thread's registers go to its frame (threads.h), whose end frame_end knows; a
 * program's red zone is below its stack pointer, so nothing is pushed there. What system_call
 * returns is the frame to go on with. */
    .globl system_call_entry
system_call_entry:
    mov %rsp, program_stack(%rip)
    mov frame_end(%rip), %rsp
    push %r15
    push %r14
    push %r13
    push %r12
    push %rbp
    push %rbx
    push %rcx /* where to go on */
    push %r11 /* the flags */
    push %r9
    push %r8
    push %r10
    push %rdx
    push %rsi
    push %rdi
    push %rax
    push program_stack(%rip)
    mov %rsp, %rdi
    mov $KERNEL_STACK, %rsp
    call system_call
    mov %rax, %rdi

/* rdi: the frame. */
    .globl resume
resume:
    mov %rdi, %rsp
    pop program_stack(%rip)
    pop %rax
    pop %rdi
    pop %rsi
    pop %rdx
    pop %r10
    pop %r8
    pop %r9
    popfq
    pop %rcx
    pop %rbx
    pop %rbp
    pop %r12
    pop %r13
    pop %r14
    pop %r15
    mov %rsp, frame_end(%rip)
    mov program_stack(%rip), %rsp
    jmp *%rcx

/* Each 16 bytes: push an error where the processor did not, then the vector. */
    .globl exception_entries
    .balign 16
exception_entries:
    .set vector, 0
    .rept 32
    .balign 16
    .if !((1 << vector) & 0x60227D00)
    push $0
    .endif
    push $vector
    jmp exception_common
    .set vector, vector + 1
    .endr
exception_common:
    mov %rsp, %rdi
    mov $KERNEL_STACK, %rsp
    call exception

    .bss
    .balign 8
program_stack:
    .quad 0
frame_end:
    .quad 0
    .section .note.GNU-stack, "", @progbits
