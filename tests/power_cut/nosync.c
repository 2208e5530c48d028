/* The planted bug of the power-cut test: preloaded into the writer, it answers that a sync succeeded without asking
 * the device for one. POWER_CUT_PLANT=all skips every sync; POWER_CUT_PLANT=bodies skips those of message body files
 * and their folders, so that the database keeps promises which the bodies do not.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int skips_all(void)
{
    const char *plant = getenv("POWER_CUT_PLANT");
    return plant != NULL && strcmp(plant, "all") == 0;
}

static int skips(int fd)
{
    const char *plant = getenv("POWER_CUT_PLANT");
    char link[64] = "/proc/self/fd/", path[4096], digits[16];
    int at = sizeof digits - 1;
    ssize_t length;

    if (plant == NULL || fd < 0)
        return 0;
    if (strcmp(plant, "all") == 0)
        return 1;
    if (strcmp(plant, "bodies") != 0)
        return 0;
    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + fd % 10);
    while ((fd /= 10) > 0);
    strcat(link, digits + at);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = '\0';
    return strstr(path, "/blobs") != NULL;
}

int fsync(int fd)
{
    return skips(fd) ? 0 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return skips(fd) ? 0 : (int)syscall(SYS_fdatasync, fd);
}

int sync_file_range(int fd, off64_t offset, off64_t count, unsigned int flags)
{
    return skips(fd) ? 0 : (int)syscall(SYS_sync_file_range, fd, offset, count, flags);
}

int syncfs(int fd)
{
    return skips(fd) ? 0 : (int)syscall(SYS_syncfs, fd);
}

int msync(void *address, size_t length, int flags)
{
    return skips_all() ? 0 : (int)syscall(SYS_msync, address, length, flags);
}

void sync(void)
{
    if (!skips_all())
        syscall(SYS_sync);
}
