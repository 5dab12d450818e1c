/*
 * Lets user-mode Linux run on processors whose registers are more than it knows of (Intel AMX).
 *
 * The guest keeps the first 2,696 bytes of a process's extended state and hands those back. Where
 * the host's state is longer, its kernel takes back nothing less than all of it, and the guest dies
 * of EFAULT at its first process ("ptrace set fp regs failed, errno = 14"). Preloaded into the
 * guest, this completes what it hands back with what the process has: the tile registers that the
 * guest does not know stay as they are. Mainline sizes its buffer by the host from 6.13 on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

#define LARGEST (1 << 16)

typedef long (*ptrace_call)(enum __ptrace_request, ...);

long ptrace(enum __ptrace_request request, ...)
{
    static ptrace_call real;
    static uint8_t state[LARGEST] __attribute__((aligned(64)));
    va_list arguments;
    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);

    if (real == NULL)
        real = (ptrace_call)dlsym(RTLD_NEXT, "ptrace");
    if (request != PTRACE_SETREGSET || (uintptr_t)address != NT_X86_XSTATE)
        return real(request, pid, address, data);

    const struct iovec *given = data;
    struct iovec whole = {state, sizeof state};
    if (real(PTRACE_GETREGSET, pid, address, &whole) < 0)
        return -1;
    size_t known = given->iov_len < whole.iov_len ? given->iov_len : whole.iov_len;
    memcpy(state, given->iov_base, known);
    return real(PTRACE_SETREGSET, pid, address, &whole);
}
