/* Preloaded into a process: counts what it changes below one folder, and disturbs one of these calls.
 *
 * The plan is a file (syscalls.py, `Plan`) that every process with ISTHMUS_SYSCALLS=file shares, so the calls of a command's children count
 * too. Counted are the calls that change a file's content, a folder, or what is durable; reading is not. What SQLite writes into its mapped
 * -shm file makes no call, and is rebuilt by who opens the database next.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NONE, KILL, TEAR, FULL, BROKEN };        /* Kind of syscalls.py, in its order */
enum { CONTENT, GROWTH, OTHER };                /* bytes are written; space is taken; neither */

struct plan {
    int64_t seen, at, kind, length;             /* calls so far; which one is disturbed, from 1; bytes of root */
    char root[1024];                            /* the folder, without a slash at its end */
    char hit[1024];                             /* "operation path" of the call that was disturbed */
};
static struct plan *plan;

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("ISTHMUS_SYSCALLS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *memory = mmap(NULL, sizeof(struct plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory != MAP_FAILED) plan = memory;
}

static int inside(const char *path) {
    return strncmp(path, plan->root, plan->length) == 0 && (path[plan->length] == '/' || path[plan->length] == 0);
}

static const char *of_descriptor(int fd, char *into) {
    char link[64];
    snprintf(link, sizeof link, fd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, into, PATH_MAX - 1);
    into[length < 0 ? 0 : length] = 0;
    return into;
}

static const char *of_name(int folder, const char *name, char *into) {
    if (name[0] == '/') return name;
    of_descriptor(folder, into);
    size_t length = strlen(into);
    snprintf(into + length, PATH_MAX - length, "/%s", name);
    return into;
}

/* What happens to this call: NONE, TEAR (its first half, then death), or an errno. KILL does not return. */
static int judge(const char *operation, const char *path, int effect) {
    if (!inside(path)) return NONE;
    int64_t number = __atomic_add_fetch(&plan->seen, 1, __ATOMIC_SEQ_CST);
    int64_t at = plan->at;
    if (number < at || at == 0 || plan->kind == NONE) return NONE;
    if (number > at && plan->kind != FULL) return NONE;  /* a disk stays full, the rest happens once */
    if (plan->kind == FULL && effect == OTHER) return NONE;
    if (!plan->hit[0]) snprintf(plan->hit, sizeof plan->hit, "%s %s", operation, path);
    switch (plan->kind) {
    case KILL: kill(getpid(), SIGKILL); pause();
    case TEAR: if (effect == CONTENT) return TEAR; kill(getpid(), SIGKILL); pause();
    case FULL: return ENOSPC;
    default: return EIO;
    }
}

#define NEXT(name) static __typeof__(&name) next; if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define FATE(operation, path, effect) int saved = errno, fate = plan ? judge(operation, path, effect) : NONE; errno = saved
#define DIE() do { kill(getpid(), SIGKILL); pause(); } while (0)
#define REFUSE() do { if (fate) { errno = fate; return -1; } } while (0)
#define FD(fd) of_descriptor(fd, (char[PATH_MAX]){0})
#define NAME(folder, name) of_name(folder, name, (char[PATH_MAX]){0})

ssize_t write(int fd, const void *bytes, size_t count) {
    NEXT(write);
    FATE("write", FD(fd), CONTENT);
    if (fate == TEAR) { next(fd, bytes, count / 2); DIE(); }
    REFUSE();
    return next(fd, bytes, count);
}

#define PWRITE(name, offset_type)                                                  \
    ssize_t name(int fd, const void *bytes, size_t count, offset_type offset) {    \
        NEXT(name);                                                                \
        FATE("pwrite", FD(fd), CONTENT);                                           \
        if (fate == TEAR) { next(fd, bytes, count / 2, offset); DIE(); }           \
        REFUSE();                                                                  \
        return next(fd, bytes, count, offset);                                     \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int fd, const struct iovec *parts, int count) {
    NEXT(writev);
    FATE("writev", FD(fd), CONTENT);
    if (fate == TEAR) { if (count > 1) next(fd, parts, count / 2); else if (count) (void)!write(fd, parts->iov_base, parts->iov_len / 2); DIE(); }
    REFUSE();
    return next(fd, parts, count);
}

#define SENDFILE(name, offset_type)                                                \
    ssize_t name(int out, int in, offset_type *offset, size_t count) {             \
        NEXT(name);                                                                \
        FATE("sendfile", FD(out), CONTENT);                                        \
        if (fate == TEAR) { next(out, in, offset, count / 2); DIE(); }             \
        REFUSE();                                                                  \
        return next(out, in, offset, count);                                       \
    }
ssize_t sendfile(int, int, off_t *, size_t);
ssize_t sendfile64(int, int, off64_t *, size_t);
SENDFILE(sendfile, off_t)
SENDFILE(sendfile64, off64_t)

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t count, unsigned flags) {
    NEXT(copy_file_range);
    FATE("copy_file_range", FD(out), CONTENT);
    if (fate == TEAR) { next(in, from, out, to, count / 2, flags); DIE(); }
    REFUSE();
    return next(in, from, out, to, count, flags);
}

#define ON_DESCRIPTOR(name, operation, effect, arguments, ...)                     \
    int name arguments {                                                           \
        NEXT(name);                                                                \
        FATE(operation, FD(fd), effect);                                           \
        REFUSE();                                                                  \
        return next(__VA_ARGS__);                                                  \
    }
ON_DESCRIPTOR(ftruncate, "ftruncate", OTHER, (int fd, off_t length), fd, length)
ON_DESCRIPTOR(ftruncate64, "ftruncate", OTHER, (int fd, off64_t length), fd, length)
ON_DESCRIPTOR(fallocate, "fallocate", GROWTH, (int fd, int mode, off_t offset, off_t length), fd, mode, offset, length)
ON_DESCRIPTOR(fallocate64, "fallocate", GROWTH, (int fd, int mode, off64_t offset, off64_t length), fd, mode, offset, length)
ON_DESCRIPTOR(fsync, "fsync", GROWTH, (int fd), fd)     /* delayed allocation: a full disk may be told here first */
ON_DESCRIPTOR(fdatasync, "fdatasync", GROWTH, (int fd), fd)

#define ON_NAME(name, operation, effect, folder, path, arguments, ...)             \
    int name arguments {                                                           \
        NEXT(name);                                                                \
        FATE(operation, NAME(folder, path), effect);                               \
        REFUSE();                                                                  \
        return next(__VA_ARGS__);                                                  \
    }
int renameat2(int, const char *, int, const char *, unsigned);
ON_NAME(rename, "rename", OTHER, AT_FDCWD, to, (const char *from, const char *to), from, to)
ON_NAME(renameat, "rename", OTHER, into, to, (int folder, const char *from, int into, const char *to), folder, from, into, to)
ON_NAME(renameat2, "rename", OTHER, into, to, (int folder, const char *from, int into, const char *to, unsigned flags), folder, from, into, to, flags)
ON_NAME(link, "link", GROWTH, AT_FDCWD, to, (const char *from, const char *to), from, to)
ON_NAME(linkat, "link", GROWTH, into, to, (int folder, const char *from, int into, const char *to, int flags), folder, from, into, to, flags)
ON_NAME(symlink, "symlink", GROWTH, AT_FDCWD, to, (const char *from, const char *to), from, to)
ON_NAME(symlinkat, "symlink", GROWTH, into, to, (const char *from, int into, const char *to), from, into, to)
ON_NAME(unlink, "unlink", OTHER, AT_FDCWD, path, (const char *path), path)
ON_NAME(unlinkat, "unlink", OTHER, folder, path, (int folder, const char *path, int flags), folder, path, flags)
ON_NAME(rmdir, "rmdir", OTHER, AT_FDCWD, path, (const char *path), path)
ON_NAME(mkdir, "mkdir", GROWTH, AT_FDCWD, path, (const char *path, mode_t mode), path, mode)
ON_NAME(mkdirat, "mkdir", GROWTH, folder, path, (int folder, const char *path, mode_t mode), folder, path, mode)
ON_NAME(truncate, "truncate", OTHER, AT_FDCWD, path, (const char *path, off_t length), path, length)
ON_NAME(truncate64, "truncate", OTHER, AT_FDCWD, path, (const char *path, off64_t length), path, length)

/* Opening changes something where it makes the file or empties it. */
#define OPEN(name, folder, arguments, ...)                                         \
    int name arguments {                                                           \
        NEXT(name);                                                                \
        mode_t mode = 0;                                                           \
        if (flags & (O_CREAT | O_TMPFILE)) {                                       \
            va_list more;                                                          \
            va_start(more, flags);                                                 \
            mode = va_arg(more, mode_t);                                           \
            va_end(more);                                                          \
        }                                                                          \
        if (flags & (O_CREAT | O_TRUNC)) {                                         \
            FATE("open", NAME(folder, path), faccessat(folder, path, F_OK, 0) ? GROWTH : OTHER); \
            REFUSE();                                                              \
        }                                                                          \
        return next(__VA_ARGS__, mode);                                            \
    }
OPEN(open, AT_FDCWD, (const char *path, int flags, ...), path, flags)
OPEN(open64, AT_FDCWD, (const char *path, int flags, ...), path, flags)
OPEN(openat, folder, (int folder, const char *path, int flags, ...), folder, path, flags)
OPEN(openat64, folder, (int folder, const char *path, int flags, ...), folder, path, flags)
