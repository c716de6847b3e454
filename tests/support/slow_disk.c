/* Make each fsync and fdatasync take SLOW_DISK_MS milliseconds longer; for LD_PRELOAD. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void slow(void) {
    const char *ms = getenv("SLOW_DISK_MS");
    if (ms) usleep(1000u * (unsigned)atoi(ms));
}

int fsync(int fd) { slow(); return (int)syscall(SYS_fsync, fd); }
int fdatasync(int fd) { slow(); return (int)syscall(SYS_fdatasync, fd); }
