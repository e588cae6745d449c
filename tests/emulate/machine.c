/* machine.c: see machine.h. */
#include "machine.h"

#include "layout.h"

enum { PRINTER = 0xE9, SHUTDOWN = 0x8900, DISK = 0x1F0, SECTOR = 512 };
enum { MSR_STAR = 0xC0000081, MSR_LSTAR, MSR_FS = 0xC0000100 };

static void out(uint16_t port, uint8_t value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in(uint16_t port) {
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void write_msr(uint32_t msr, uint64_t value) {
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

void *memcpy(void *to, const void *from, size_t size) {
    void *at = to;
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
    return to;
}

void *memset(void *to, int value, size_t size) {
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t size) {
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < size; i++)
        if (x[i] != y[i]) return x[i] - y[i];
    return 0;
}

size_t strlen(const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    return length;
}

void machine_write(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) out(PRINTER, (uint8_t)text[i]);
}

void machine_say(const char *text) { machine_write(text, strlen(text)); }

void machine_say_number(uint64_t number) {
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    machine_write(digits + at, sizeof digits - at);
}

static void say_hex(uint64_t number) {
    machine_say("0x");
    for (int shift = 60; shift >= 0; shift -= 4)
        machine_write("0123456789abcdef" + (number >> shift & 15), 1);
}

void machine_end(uint64_t status) {
    machine_say("\n== exit ");
    machine_say_number(status);
    machine_say("\n");
    for (const char *c = "Shutdown"; *c; c++) out(SHUTDOWN, (uint8_t)*c);
    for (;;) __asm__ volatile("cli; hlt");
}

/* Port by port, as disks of the first PCs were read: no interrupts, no memory of their own. */
void machine_read_sectors(uint32_t first, uint32_t count, void *to) {
    enum { MOST = 128, BUSY = 0x80, ERROR = 0x21, READY = 0x08, READ = 0x20 };
    while (count > 0) {
        uint32_t some = count < MOST ? count : MOST;
        out(DISK + 6, (uint8_t)(0xE0 | first >> 24));
        out(DISK + 2, (uint8_t)some);
        out(DISK + 3, (uint8_t)first);
        out(DISK + 4, (uint8_t)(first >> 8));
        out(DISK + 5, (uint8_t)(first >> 16));
        out(DISK + 7, READ);
        for (uint32_t i = 0; i < some; i++) {
            uint8_t status;
            do status = in(DISK + 7);
            while ((status & BUSY) || !(status & (ERROR | READY)));
            if (status & ERROR) {
                machine_say("the disk cannot be read");
                machine_end(255);
            }
            size_t words = SECTOR / 2;
            __asm__ volatile("rep insw" : "+D"(to), "+c"(words) : "d"(DISK) : "memory");
        }
        first += some;
        count -= some;
    }
}

void machine_set_fs(uint64_t base) { write_msr(MSR_FS, base); }

uint64_t machine_ticks(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* What exception_common of entry.S finds on the stack. */
struct exception_frame {
    uint64_t vector, error, instruction, code, flags, stack;
};
void exception(const struct exception_frame *frame);

void exception(const struct exception_frame *frame) {
    uint64_t address;
    __asm__ volatile("mov %%cr2, %0" : "=r"(address));
    machine_say("\n== exception ");
    machine_say_number(frame->vector);
    machine_say(" error ");
    machine_say_number(frame->error);
    machine_say(" at ");
    say_hex(frame->instruction);
    machine_say(" stack ");
    say_hex(frame->stack);
    machine_say(" address ");
    say_hex(address);
    machine_end(128 + frame->vector);
}

static void set_exceptions(void) {
    extern char exception_entries[];
    enum { COUNT = 32, ENTRY_BYTES = 16, GATE = 0x8E00 };
    static struct {
        uint16_t low, selector, kind, middle;
        uint32_t high, zero;
    } gates[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        uint64_t at = (uint64_t)exception_entries + i * ENTRY_BYTES;
        gates[i].low = (uint16_t)at;
        gates[i].selector = CODE;
        gates[i].kind = GATE;
        gates[i].middle = (uint16_t)(at >> 16);
        gates[i].high = (uint32_t)(at >> 32);
    }
    const struct __attribute__((packed)) {
        uint16_t limit;
        void *at;
    } table = {sizeof gates - 1, gates};
    __asm__ volatile("lidt %0" : : "m"(table));
}

/* A null pointer is to be noticed: the first 2 MiB get pages of their own, but for the first. */
static void unmap_null(void) {
    enum { PAGE = 4096, PAGES = 512, PRESENT_WRITABLE = 3 };
    static uint64_t pages[PAGES] __attribute__((aligned(PAGE)));
    for (uint64_t i = 1; i < PAGES; i++) pages[i] = i * PAGE | PRESENT_WRITABLE;
    *(volatile uint64_t *)(PAGE_TABLES + 2 * PAGE) = (uint64_t)pages | PRESENT_WRITABLE;
    __asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" : : : "rax", "memory");
}

/* The wide registers, as far as this processor has them: XCR0. */
static void allow_vectors(void) {
    enum { OSXSAVE = 1 << 18, X87 = 1, SSE = 2, AVX = 4, AVX512 = 0xE0 };
    uint32_t a = 1, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (!(c & 1U << 26)) return; /* no XSAVE */
    uint64_t control;
    __asm__ volatile("mov %%cr4, %0" : "=r"(control));
    __asm__ volatile("mov %0, %%cr4" : : "r"(control | OSXSAVE));
    a = 0xD;
    c = 0;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    uint32_t wanted = a & (X87 | SSE | AVX | AVX512);
    __asm__ volatile("xsetbv" : : "a"(wanted), "d"(0), "c"(0));
}

void machine_init(void) {
    extern char system_call_entry[];
    set_exceptions();
    unmap_null();
    allow_vectors();
    write_msr(MSR_STAR, (uint64_t)CODE << 32);
    write_msr(MSR_LSTAR, (uint64_t)system_call_entry);
    write_msr(0xC0000084, 0x400); /* a system call begins with the direction cleared */
}
