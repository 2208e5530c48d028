#!/usr/bin/env python3
"""Cuts the power under the store and asks it for everything that it had acknowledged. See README.md."""

import argparse
import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# The tree may be read-only to others, and a cache of two files is not worth a folder in it.
sys.dont_write_bytecode = True
from recount import recount  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SKIPPED = 77
PR_SET_PDEATHSIG = 1

# For each program, the Debian package that has it.
PROGRAMS = {
    "nbdkit": "nbdkit",
    "nbdfuse": "libnbd-bin",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "umount": "mount",
    "unshare": "util-linux",
    "sync": "coreutils",
    "cc": "gcc",
}

# Seconds for which the writer writes before the cut, drawn anew for each.
WRITING = (1.0, 2.5)
# Seconds for which the writer goes on when the power is gone. What it acknowledges then is lost for certain, so it
# must acknowledge nothing: a failed sync is never called success.
AFTERLIFE = 0.2
PATIENCE = 60


class Impossible(Exception):
    """This machine cannot carry out the test."""


class Broken(Exception):
    """The test itself went wrong; nothing was learned about the store."""


def main():
    arguments = parse_arguments()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    try:
        check_means(arguments)
        enter_private_mounts()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        return run(arguments)
    except Impossible as reason:
        print(f"{'FAILED' if arguments.required else 'SKIPPED'}: {reason}")
        return 1 if arguments.required else SKIPPED
    except (Broken, subprocess.SubprocessError) as fault:
        print(f"FAILED: the test went wrong: {fault}")
        return 1


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=5, help="power cuts of the store as it is")
    parser.add_argument("--control-cuts", type=int, default=2, help="power cuts of each planted bug")
    parser.add_argument("--required", action="store_true", help="fail where the machine does not allow the test")
    parser.add_argument("--ledger", type=Path, help="the built example; built with cargo if not given")
    # Sparse: it takes room only as it is written.
    parser.add_argument("--device-mib", type=int, default=1024, help="size of the device")
    parser.add_argument("--seed", type=int, default=None, help="seed of the moments at which the power goes")
    return parser.parse_args()


def check_means(arguments):
    missing = []
    if os.geteuid() != 0:
        missing.append("root")
    missing += [path for path in ("/dev/fuse", "/dev/loop-control") if not os.path.exists(path)]
    missing += [f"{name} (package {package})" for name, package in PROGRAMS.items() if not shutil.which(name)]
    if arguments.ledger is None and not shutil.which("cargo"):
        missing.append("cargo (or --ledger)")
    if missing:
        raise Impossible(f"missing {', '.join(missing)}")
    for doing, command in {
        "nbdkit's file plugin and cache filter": ["nbdkit", "--filter=cache", "file", "--dump-plugin"],
        "a private mount namespace": ["unshare", "--mount", "--propagation", "private", "true"],
    }.items():
        tried = subprocess.run(command, capture_output=True, text=True)
        if tried.returncode != 0:
            raise Impossible(f"missing {doing}: {tried.stderr.strip()}")


def enter_private_mounts():
    """Starts this program anew where its mounts are seen by nobody else and end with it, however it ends."""
    if os.environ.get("POWER_CUT_MOUNTS") != "private":
        os.environ["POWER_CUT_MOUNTS"] = "private"
        command = ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv]
        os.execvp(command[0], command)


def run(arguments):
    began = time.monotonic()
    seed = random.randrange(1 << 32) if arguments.seed is None else arguments.seed
    note(f"seed {seed}")
    ledger = (arguments.ledger or build_ledger()).resolve()
    folder = Path(tempfile.mkdtemp(prefix="power-cut-", dir=roomy_folder(arguments.device_mib)))
    try:
        lane = Lane(folder, ledger, build_shim(folder), arguments.device_mib, random.Random(seed))
        try_device(lane)
        real = lane.cut_often("store", arguments.cuts)
        unsynced = lane.cut_often("control without syncs", arguments.control_cuts, plant="all")
        bodiless = lane.cut_often("control without syncs of bodies", arguments.control_cuts, plant="bodies")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return judge(real, unsynced, bodiless, time.monotonic() - began)


def judge(real, unsynced, bodiless, seconds):
    print(
        f"power cuts: {real.cuts}, acknowledged {real.acknowledged:,}, lost {real.lost:,}, damaged {real.damaged:,}, "
        f"drift {real.drift:,}; control: lost {unsynced.lost:,} of {unsynced.acknowledged:,} in {unsynced.cuts} cuts; "
        f"control of bodies: damaged {bodiless.damaged:,} of {bodiless.acknowledged:,} in {bodiless.cuts} cuts; "
        f"{seconds:.0f} s"
    )
    failures = []
    if real.lost or real.damaged or real.drift:
        failures.append("the store did not keep what it had acknowledged")
    if real.acknowledged == 0:
        failures.append("nothing was acknowledged, so nothing was tested")
    # A test whose planted bugs go unseen would not see a real one either.
    if unsynced.lost == 0:
        failures.append("the control without syncs lost nothing")
    if bodiless.damaged == 0:
        failures.append("the control without syncs of bodies damaged nothing")
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


# What is needed ----------------------------------------------------------------------------------------------------


def build_ledger():
    command = ["cargo", "build", "--message-format=json", "-p", "postfleet-store", "--example", "ledger"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "ledger":
            return Path(message["executable"])
    raise Broken("cargo built no ledger")


def build_shim(folder):
    shim = folder / "nosync.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", shim, HERE / "nosync.c"], check=True)
    return shim


def roomy_folder(device_mib):
    """Memory, if there is enough of it: a flush then costs little and more is written before the cut."""
    memory = "/dev/shm"
    # The device and its cache, each at its full size.
    if os.path.isdir(memory) and shutil.disk_usage(memory).free > 2 * device_mib << 20:
        return memory
    return None


def try_device(lane):
    device = lane.new_device()
    try:
        device.power_on()
    except (Broken, OSError, subprocess.SubprocessError) as fault:
        raise Impossible(f"a file system on a user-space device cannot be mounted: {fault}") from fault
    finally:
        device.release()


# The device ----------------------------------------------------------------------------------------------------------


class Device:
    """An ext4 file system on a disk whose write cache is volatile: what was not flushed is gone with the power.

    nbdkit keeps writes in its cache until a flush, and only then puts them into the image file. nbdfuse shows nbdkit's
    disk as a file, and the kernel mounts that file through a loop device. Killing nbdkit is the power cut; if that
    falls into a flush, a part of the flushed blocks is on the disk and a part is not.
    """

    def __init__(self, folder, mib):
        self.folder = folder
        self.image, self.socket = folder / "image", folder / "socket"
        self.disks, self.mounted = folder / "disks", folder / "mounted"
        self.disk = self.disks / "disk"
        self.nbdkit = self.nbdfuse = None
        for path in (folder, self.disks, self.mounted):
            path.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(mib << 20)
        # Nothing is left to be initialized behind our back, and the journal is small enough to wrap around.
        options = ["-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0"]
        subprocess.run(["mkfs.ext4", "-q", "-F", *options, self.image], check=True)

    def power_on(self):
        self.socket.unlink(missing_ok=True)
        # The cache works in blocks of the file system, so that an unflushed block takes no flushed neighbour with it.
        settings = ["cache=writeback", "cache-min-block-size=4096"]
        cache = {**os.environ, "TMPDIR": str(self.folder)}
        command = ["nbdkit", "-f", "-U", self.socket, "--filter=cache", "file", self.image, *settings]
        self.nbdkit = start(command, self.folder / "nbdkit.log", env=cache)
        wait_for("nbdkit", self.socket.exists, self.nbdkit)
        # One connection: a flush on it then covers every write before it.
        command = ["nbdfuse", "-C", "1", self.disk, "--unix", self.socket]
        self.nbdfuse = start(command, self.folder / "nbdfuse.log")
        wait_for("nbdfuse", self.disk.exists, self.nbdfuse)
        # Mounting replays the journal.
        command = ["mount", "-t", "ext4", "-o", "loop", self.disk, self.mounted]
        mounted = subprocess.run(command, capture_output=True, text=True)
        if mounted.returncode != 0:
            raise Broken(f"mount: {mounted.stderr.strip()}")

    def cut_power(self):
        self.nbdkit.kill()
        self.nbdkit.wait()

    def release(self):
        """Lets go of everything; in good order when the power is on, by force when it is not."""
        if os.path.ismount(self.mounted):
            unmount(self.mounted)
        # Without its server nbdfuse may have died already, and its mount point is then a stump.
        if self.nbdfuse is not None:
            stop(self.nbdfuse)
            subprocess.run(["umount", "--lazy", self.disks], capture_output=True)
        if self.nbdkit is not None:
            stop(self.nbdkit)
        self.nbdkit = self.nbdfuse = None

    def has_room(self):
        """Whether another cut's mail fits; to be asked while mounted."""
        return shutil.disk_usage(self.mounted).free > shutil.disk_usage(self.mounted).total * 3 / 4


def unmount(path):
    for _ in range(50):
        if subprocess.run(["umount", path], capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    note(f"{path} stays busy; unmounted lazily")
    subprocess.run(["umount", "--lazy", path], check=True)


def start(command, log, **options):
    """Starts a helper that dies with us."""

    def die_with_parent():
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    with open(log, "ab") as out:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, **{"stdout": out, **options}, stderr=out, preexec_fn=die_with_parent
        )


def stop(process):
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(what, ready, process):
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if process.poll() is not None:
            raise Broken(f"{what} ended with {process.returncode} before it was ready")
        if time.monotonic() > deadline:
            raise Broken(f"{what} was not ready within {PATIENCE} s")
        time.sleep(0.02)


# The cuts ------------------------------------------------------------------------------------------------------------


class Outcome:
    def __init__(self):
        self.cuts = self.acknowledged = self.lost = self.damaged = self.drift = 0


class Lane:
    def __init__(self, folder, ledger, shim, mib, moments):
        self.folder, self.ledger, self.shim, self.mib, self.moments = folder, ledger, shim, mib, moments
        self.devices = 0

    def new_device(self):
        self.devices += 1
        return Device(self.folder / f"device{self.devices}", self.mib)

    def cut_often(self, name, cuts, plant=None):
        """Cuts again and again. A device that survived is written to further, and answers for all that it was ever
        told, until it fills up; one with a planted bug has nothing to go on with."""
        total, device, told = Outcome(), None, None
        try:
            for number in range(1, cuts + 1):
                if device is None:
                    device = self.new_device()
                    told = device.folder / "ledger"
                before = count_lines(told)
                device.power_on()
                self.write_until_cut(device, told, plant)
                device.release()
                device.power_on()
                found, differences = self.verify(device, told)
                total.cuts += 1
                total.acknowledged += count_lines(told) - before
                for what in ("lost", "damaged", "drift"):
                    setattr(total, what, getattr(total, what) + found[what])
                note(f"{name}, cut {number}: acknowledged {count_lines(told) - before:,}, {json.dumps(found)}")
                for difference in differences[:5]:
                    note(f"  {difference}")
                keep = plant is None and is_clean(found) and device.has_room()
                device.release()
                if not keep:
                    shutil.rmtree(device.folder)
                    device = None
        finally:
            if device is not None:
                device.release()
        return total

    def write_until_cut(self, device, told, plant):
        """Lets the writer write, and takes the power away under it."""
        env, before = dict(os.environ), count_lines(told)
        if plant:
            env |= {"LD_PRELOAD": str(self.shim), "POWER_CUT_PLANT": plant}
        with open(told, "ab") as out:
            command = [self.ledger, "write", device.mounted / "data"]
            writer = start(command, device.folder / "writer.log", stdout=out, env=env)
        try:
            wait_for("the first acknowledgement", lambda: count_lines(told) > before, writer)
            seconds = self.moments.uniform(*WRITING)
            time.sleep(seconds / 2)
            if plant:
                # The kernel writes back by itself now and then. Doing so once leaves a database that opens, and so a
                # loss that has to be found message by message.
                subprocess.run(["sync", "--file-system", device.mounted], check=True)
            time.sleep(seconds / 2)
            if writer.poll() is not None:
                raise Broken(f"the writer ended before the cut: {tail(device.folder / 'writer.log')}")
            device.cut_power()
            # The planted bug would go on acknowledging from memory, which would make its loss look larger than it is.
            time.sleep(0 if plant else AFTERLIFE)
        finally:
            writer.kill()
            # Its last requests may wait for a device that is not there any more.
            if device.nbdfuse is not None:
                device.nbdfuse.kill()
            writer.wait(timeout=PATIENCE)

    def verify(self, device, told):
        data = device.mounted / "data"
        with open(told, "rb") as ledger:
            checked = subprocess.run([self.ledger, "verify", data], stdin=ledger, capture_output=True, timeout=300)
        try:
            found = json.loads(checked.stdout)
        except ValueError as fault:
            raise Broken(f"the verifier did not answer: {checked.stderr.decode(errors='replace')}") from fault
        differences = found.pop("faults")
        if not differences:
            differences = recount(data / "postfleet.db", queued_recipients(told))
        found["drift"] += len(differences)
        if is_clean(found) and checked.returncode != 0:
            raise Broken(f"the verifier ended with {checked.returncode} and found nothing")
        return found, differences


def is_clean(found):
    return found["lost"] + found["damaged"] + found["drift"] == 0


def count_lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def queued_recipients(told):
    lines = (line.split() for line in told.read_text().splitlines())
    return {message: int(queued) for message, _, queued in lines}


def tail(path):
    return path.read_text(errors="replace")[-500:].strip()


def note(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
