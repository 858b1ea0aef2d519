/* Preloaded into a process: below one folder only what was synced outlives a power cut.
 *
 * The image is a folder with what the disk is sure to have: a file's bytes, or a folder's entries, as
 * they were at its last fsync or fdatasync, by inode and time of birth (a number is given again). Strict
 * as POSIX is: a name is sure once its folder was synced, content once its file was. Nothing really is
 * synced, so tests are quick. Other ways to sync (O_SYNC, msync, sync) are not modelled: what relies on
 * them is lost here. The plan is a file (power_cut.py, `Plan`) that all processes with ISTHMUS_POWER share.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct plan {
    int64_t seen, at, off;          /* syncs so far; the one before which it fails; whether it has failed */
    char root[1024], image[1024];   /* without a slash at their ends */
};
static struct plan *plan;
static const char *plan_file;

__attribute__((constructor)) static void attach(void) {
    plan_file = getenv("ISTHMUS_POWER");
    int fd = plan_file ? open(plan_file, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *memory = mmap(NULL, sizeof(struct plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory != MAP_FAILED) plan = memory;
}

/* The name of an inode in the image. 0: there is none. */
static mode_t identity(int folder, const char *name, int flags, char *into) {
    struct statx seen;
    if (statx(folder, name, flags | AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_INO | STATX_BTIME, &seen)) return 0;
    sprintf(into, "%llx-%llx-%x", (unsigned long long)seen.stx_ino, (unsigned long long)seen.stx_btime.tv_sec, seen.stx_btime.tv_nsec);
    return seen.stx_mode;
}

static FILE *begin(const char *image, const char *name, char *fresh) {
    snprintf(fresh, PATH_MAX, "%s/%s.new", image, name);
    return fopen(fresh, "we");
}

static int end(FILE *file, const char *fresh) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.*s", (int)(strlen(fresh) - strlen(".new")), fresh);
    return fclose(file) || rename(fresh, path) ? -1 : 0;
}

static int keep_file(int fd, const char *image, const char *name) {
    char fresh[PATH_MAX], path[64], bytes[1 << 16];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);  /* it may have been opened for writing alone */
    int from = open(path, O_RDONLY | O_CLOEXEC);
    FILE *file = from < 0 ? NULL : begin(image, name, fresh);
    if (!file) { if (from >= 0) close(from); return -1; }
    for (ssize_t count; (count = read(from, bytes, sizeof bytes)) > 0;) fwrite(bytes, 1, count, file);
    close(from);
    return end(file, fresh);
}

/* Entries as `kind, mode, name in the image, name` with \1 between and \0 after. A symlink has its
 * target in the third place; sockets are left out. */
static int keep_folder(int fd, const char *image, const char *name) {
    char fresh[PATH_MAX];
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = again < 0 ? NULL : fdopendir(again);
    FILE *file = folder ? begin(image, name, fresh) : NULL;
    if (!file) { if (folder) closedir(folder); return -1; }
    for (struct dirent *entry; (entry = readdir(folder));) {
        char id[128], target[PATH_MAX] = "";
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        mode_t mode = identity(fd, entry->d_name, 0, id);
        if (S_ISLNK(mode) && readlinkat(fd, entry->d_name, target, sizeof target - 1) >= 0)
            fprintf(file, "l\1%o\1%s\1%s%c", mode & 07777, target, entry->d_name, 0);
        else if (S_ISREG(mode) || S_ISDIR(mode))
            fprintf(file, "%c\1%o\1%s\1%s%c", S_ISDIR(mode) ? 'd' : 'f', mode & 07777, id, entry->d_name, 0);
    }
    closedir(folder);
    return end(file, fresh);
}

static int keep(int fd, const char *image) {
    char name[128];
    mode_t mode = identity(fd, "", AT_EMPTY_PATH, name);
    return S_ISDIR(mode) ? keep_folder(fd, image, name) : S_ISREG(mode) ? keep_file(fd, image, name) : 0;
}

/* For power_cut.py: the name of what is at a path, and everything below a folder as it is now. */
int power_identity(const char *path, char *into) { return identity(AT_FDCWD, path, 0, into) ? 0 : -1; }

int power_keep(const char *path, const char *image) {
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return errno == ELOOP || errno == ENXIO ? 0 : -1;  /* a symlink, a socket */
    int failed = keep(fd, image);
    DIR *folder = failed ? NULL : fdopendir(fd);
    if (!folder) { close(fd); return failed; }
    for (struct dirent *entry; !failed && (entry = readdir(folder));) {
        char below[PATH_MAX];
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        failed = power_keep(below, image);
    }
    closedir(folder);
    return failed;
}

static int inside(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    size_t root = strlen(plan->root);
    return root && strncmp(path, plan->root, root) == 0 && (path[root] == '/' || path[root] == 0);
}

static int synced(int fd, int (*next)(int)) {
    int saved = errno;
    if (!plan || !inside(fd)) { errno = saved; return next(fd); }
    int lock = open(plan_file, O_RDWR | O_CLOEXEC);  /* threads and forks share a descriptor's lock */
    flock(lock, LOCK_EX);
    if (!plan->off && ++plan->seen == plan->at) plan->off = 1;
    if (plan->off) { kill(getpid(), SIGKILL); pause(); }
    int failed = keep(fd, plan->image);
    flock(lock, LOCK_UN);
    close(lock);
    errno = failed ? EIO : saved;
    return failed;
}

#define SYNC(name)                                                                     \
    int name(int fd) {                                                                 \
        static int (*next)(int);                                                       \
        if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, #name);                        \
        return synced(fd, next);                                                       \
    }
SYNC(fsync)
SYNC(fdatasync)
