/* Faults of the machine below a redis-server: a slow disk, a full disk, a clock that was set.
 *
 * Loaded with LD_PRELOAD. The file that REDIS_FAULTS names holds three 64-bit numbers, which may change while
 * the server runs: microseconds that each fsync takes longer, microseconds by which the clock is wrong, and
 * whether the disk is full. Other programs with this library in their environment are left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const int64_t no_faults[3];
static const volatile int64_t *faults = no_faults;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("REDIS_FAULTS");
  if (path == NULL || strcmp(program_invocation_short_name, "redis-server") != 0) return;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  void *mapped = mmap(NULL, sizeof no_faults, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (mapped != MAP_FAILED) faults = mapped;
}

static void wait_for_disk(void) {
  int64_t left = faults[0];
  while (left > 0) {
    int64_t part = left < 500000 ? left : 500000;
    usleep(part);
    left -= part;
  }
}

int fdatasync(int file) {
  static int (*real)(int);
  if (real == NULL) real = dlsym(RTLD_NEXT, "fdatasync");
  wait_for_disk();
  return real(file);
}

int fsync(int file) {
  static int (*real)(int);
  if (real == NULL) real = dlsym(RTLD_NEXT, "fsync");
  wait_for_disk();
  return real(file);
}

ssize_t write(int file, const void *bytes, size_t length) {
  static ssize_t (*real)(int, const void *, size_t);
  struct stat about;
  if (real == NULL) real = dlsym(RTLD_NEXT, "write");
  if (faults[2] && file > 2 && fstat(file, &about) == 0 && S_ISREG(about.st_mode)) {
    errno = ENOSPC;
    return -1;
  }
  return real(file, bytes, length);
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec at;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &at);
  now->tv_sec = at.tv_sec;
  now->tv_usec = at.tv_nsec / 1000;
  return 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (real == NULL) real = dlsym(RTLD_NEXT, "clock_gettime");
  int status = real(clock, now);
  if (status == 0 && clock == CLOCK_REALTIME) now->tv_sec += faults[1] / 1000000;
  return status;
}

time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at != NULL) *at = now.tv_sec;
  return now.tv_sec;
}
