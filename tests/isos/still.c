/* The clock stands, chance repeats itself, and every file is root's: loaded in front of the C library, so that
   the tools that make the test images make the same bytes whenever, wherever and by whomever they are run.

   A file's inode number, by which xorriso orders contents, is its modification time where that is a number that
   repeatable.py gave out (below STILL_NUMBERS); others keep their own, since equal numbers mean hard links. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

time_t time(time_t *out) {
    if (out)
        *out = STILL_MOMENT;
    return STILL_MOMENT;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    (void)zone;
    *out = (struct timeval){.tv_sec = STILL_MOMENT};
    return 0;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    if (clock != CLOCK_REALTIME)
        return NEXT(clock_gettime)(clock, out);
    *out = (struct timespec){.tv_sec = STILL_MOMENT};
    return 0;
}

void srand(unsigned seed) { (void)seed; }
void srandom(unsigned seed) { (void)seed; }
pid_t getppid(void) { return 1; }
clock_t clock(void) { return 0; } /* genisoimage makes UDF's identifiers of it */

void uuid_generate(unsigned char *out) {
    static unsigned char count;
    memset(out, ++count, 16);
    out[6] = (out[6] & 0x0f) | 0x40; /* version 4, RFC 4122 */
    out[8] = (out[8] & 0x3f) | 0x80;
}

/* struct stat and struct stat64 are one on x86-64. */
static int settled(int status, struct stat *found) {
    if (status != 0)
        return status;
    if (found->st_mtim.tv_sec < STILL_NUMBERS)
        found->st_ino = found->st_mtim.tv_sec;
    found->st_uid = found->st_gid = 0;
    found->st_atim = found->st_mtim = found->st_ctim = (struct timespec){.tv_sec = STILL_MOMENT};
    if (S_ISDIR(found->st_mode) || S_ISREG(found->st_mode))
        found->st_mode = (found->st_mode & S_IFMT) | (S_ISDIR(found->st_mode) ? 0755 : 0644);
    if (S_ISDIR(found->st_mode))
        found->st_nlink = 2;
    return 0;
}

/* Defined under names of their own, since the headers declare some with another type of the same shape. */
#define BY_NAME(name) \
    int still_##name(const char *path, struct stat *out) __asm__(#name); \
    int still_##name(const char *path, struct stat *out) { \
        return settled(((int (*)(const char *, struct stat *))dlsym(RTLD_NEXT, #name))(path, out), out); \
    }
#define BY_NUMBER(name) \
    int still_##name(int file, struct stat *out) __asm__(#name); \
    int still_##name(int file, struct stat *out) { \
        return settled(((int (*)(int, struct stat *))dlsym(RTLD_NEXT, #name))(file, out), out); \
    }
/* What programs built before glibc 2.33 call. */
#define OLD_BY_NAME(name) \
    int still_##name(int version, const char *path, struct stat *out) __asm__(#name); \
    int still_##name(int version, const char *path, struct stat *out) { \
        return settled(((int (*)(int, const char *, struct stat *))dlsym(RTLD_NEXT, #name))(version, path, out), out); \
    }
#define OLD_BY_NUMBER(name) \
    int still_##name(int version, int file, struct stat *out) __asm__(#name); \
    int still_##name(int version, int file, struct stat *out) { \
        return settled(((int (*)(int, int, struct stat *))dlsym(RTLD_NEXT, #name))(version, file, out), out); \
    }

BY_NAME(stat)
BY_NAME(stat64)
BY_NAME(lstat)
BY_NAME(lstat64)
BY_NUMBER(fstat)
BY_NUMBER(fstat64)
OLD_BY_NAME(__xstat)
OLD_BY_NAME(__xstat64)
OLD_BY_NAME(__lxstat)
OLD_BY_NAME(__lxstat64)
OLD_BY_NUMBER(__fxstat)
OLD_BY_NUMBER(__fxstat64)
