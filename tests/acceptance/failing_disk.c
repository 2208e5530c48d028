/* Preloaded into the server: what a disk does is made to fail as long as a file says so. FAILING_DISK names a folder; what it
 * has a file for is what fails with EIO, and as with a device that has failed nothing is flushed or written then:
 *
 *   database    syncs of what belongs to the SQLite database
 *   checkpoint  syncs of its main file alone, which is synced when the log is moved into it
 *   writes      writes to what belongs to the SQLite database
 *   bodies      syncs of the blob folder
 *   hanging     syncs of the blob folder do not end before the file is gone; then they do what they are for
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_planted(const char *name)
{
    const char *folder = getenv("FAILING_DISK");
    char path[4096];

    if (folder == NULL)
        return 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void path_of(int fd, char *path, size_t size)
{
    char link[64];
    ssize_t length;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, size - 1);
    path[length < 0 ? 0 : length] = '\0';
}

static int ends_with(const char *path, const char *end)
{
    size_t length = strlen(path), of_end = strlen(end);

    return length >= of_end && strcmp(path + length - of_end, end) == 0;
}

static int sync_fails(int fd)
{
    int before = errno, is_failing;
    char path[4096];

    path_of(fd, path, sizeof path);
    if (strstr(path, "/blobs") != NULL)
        while (is_planted("hanging"))
            usleep(2000);
    is_failing = (strstr(path, "/postfleet.db") != NULL && is_planted("database")) ||
                 (ends_with(path, "/postfleet.db") && is_planted("checkpoint")) ||
                 (strstr(path, "/blobs") != NULL && is_planted("bodies"));
    errno = is_failing ? EIO : before;
    return is_failing;
}

static int write_fails(int fd)
{
    int before = errno, is_failing;
    char path[4096];

    is_failing = is_planted("writes");
    if (is_failing) {
        path_of(fd, path, sizeof path);
        is_failing = strstr(path, "/postfleet.db") != NULL;
    }
    errno = is_failing ? EIO : before;
    return is_failing;
}

int fsync(int fd)
{
    return sync_fails(fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_fails(fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

ssize_t write(int fd, const void *from, size_t size)
{
    return write_fails(fd) ? -1 : (ssize_t)syscall(SYS_write, fd, from, size);
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t at)
{
    return write_fails(fd) ? -1 : (ssize_t)syscall(SYS_pwrite64, fd, from, size, at);
}

ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at)
{
    return write_fails(fd) ? -1 : (ssize_t)syscall(SYS_pwrite64, fd, from, size, at);
}
