/* Preloaded into the server: syncs fail with EIO as long as a file says so. FAILED_SYNC names a folder; the file
 * `database` in it is for what belongs to the SQLite database, `checkpoint` for its main file alone, which is synced when the
 * log is moved into it, and `bodies` for the blob folder. As with a device that has failed, nothing is flushed then.
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
    const char *folder = getenv("FAILED_SYNC");
    char path[4096];

    if (folder == NULL)
        return 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static int ends_with(const char *path, const char *end)
{
    size_t length = strlen(path), of_end = strlen(end);

    return length >= of_end && strcmp(path + length - of_end, end) == 0;
}

static int fails(int fd)
{
    int before = errno, is_failing;
    char link[64], path[4096];
    ssize_t length;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = '\0';
    is_failing = (strstr(path, "/postfleet.db") != NULL && is_planted("database")) ||
                 (ends_with(path, "/postfleet.db") && is_planted("checkpoint")) ||
                 (strstr(path, "/blobs") != NULL && is_planted("bodies"));
    errno = is_failing ? EIO : before;
    return is_failing;
}

int fsync(int fd)
{
    return fails(fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return fails(fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}
