"""What is made to fail under the server, and how that ends: disks, the blob folder, syncs, the database.

A fault is begun, held for a while and ended; what has to be known about it is a `Fault` of the ledger.
"""

import contextlib
import os
import signal
import subprocess
import time

from failures_ledger import Fault
from harness import Missing, wait_until

# Seconds for which a fault lasts, and those for which the database is away.
HELD, AWAY = 1.5, 5.0

# What senders are told.
FULL, NOT_NOW, CUT = "452 4.3.1", "451 4.3.0", "cut"


class Volume:
    """A small file system in memory."""

    def __init__(self, folder, aside, mib):
        # The second is where it stays reachable while it is away from its place.
        self.folder, self.aside = folder, aside
        if os.geteuid() != 0:
            raise Missing("only root can mount a small file system")
        folder.mkdir(parents=True)
        aside.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=711", "tmpfs", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Missing(f"no small file system can be mounted here: {done.stderr.strip()}")
        self._run("mount", "--bind", folder, aside)

    def _run(self, *command):
        subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=30)

    def fill(self):
        """Takes all the room that is left."""
        with open(self.aside / "ballast", "ab", buffering=0) as ballast:
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while True:
                        ballast.write(bytes(size))

    def make_room(self):
        (self.aside / "ballast").unlink(missing_ok=True)

    def set_read_only(self, is_read_only):
        option = "remount,ro" if is_read_only else "remount,rw"

        def done():
            # Refused as long as a file is open for writing.
            return subprocess.run(["mount", "-o", option, self.folder], capture_output=True).returncode == 0

        wait_until("the file system to be changed", done, 30, 0.005)

    def take_away(self):
        """As when it was not mounted: an empty folder is in its place."""
        self._run("umount", "--lazy", self.folder)

    def bring_back(self):
        self._run("mount", "--bind", self.aside, self.folder)

    def close(self):
        for folder in (self.folder, self.aside):
            while subprocess.run(["umount", "--lazy", folder], capture_output=True).returncode == 0:
                pass


class Scene:
    """What there is to fail, and how to see whether somebody noticed."""

    def __init__(self, server, postgres, blobs, disk, syncs, was_told):
        self.server, self.postgres, self.blobs, self.disk, self.syncs = server, postgres, blobs, disk, syncs
        self.was_told = was_told

    def until_told(self, fault, again=lambda: None, seconds=60):
        """Waits until a sender was told what it must be told; a check finds it if none ever is."""

        def told():
            again()
            return self.was_told(fault)

        with contextlib.suppress(AssertionError):
            wait_until(f"{fault.name} to be noticed", told, seconds, 0.05)


# Each fault: what it is called and may do, and a context in which it lasts. What comes after its `yield` ends it.


@contextlib.contextmanager
def full_disk(scene, fault):
    scene.disk.fill()
    scene.until_told(fault, again=scene.disk.fill)
    yield
    scene.disk.make_room()
    supervise(scene.postgres)


@contextlib.contextmanager
def full_blob_folder(scene, fault):
    scene.blobs.fill()
    scene.until_told(fault, again=scene.blobs.fill)
    yield
    scene.blobs.make_room()


@contextlib.contextmanager
def read_only_blob_folder(scene, fault):
    scene.blobs.set_read_only(True)
    scene.until_told(fault)
    yield
    scene.blobs.set_read_only(False)


@contextlib.contextmanager
def missing_blob_folder(scene, fault):
    scene.blobs.take_away()
    scene.until_told(fault)
    yield
    scene.blobs.bring_back()


@contextlib.contextmanager
def failed_body_sync(scene, fault):
    (scene.syncs / "bodies").touch()
    scene.until_told(fault)
    yield
    (scene.syncs / "bodies").unlink()


def failed_sync_of(name):
    """What the server ends after; who started it starts it again."""

    @contextlib.contextmanager
    def lasts(scene, fault):
        (scene.syncs / name).touch()
        process = scene.server.process
        wait_until("the server to end", lambda: process.poll() is not None, 60, 0.005)
        if process.returncode == 0:
            fault.misread.append("the server ended as if all were well")
        yield
        (scene.syncs / name).unlink()
        scene.server.process = None
        scene.server.start()

    return lasts


@contextlib.contextmanager
def restarted_database(scene, fault):
    """Ended without a word to anybody and started at once: recovery is part of it."""
    scene.postgres.end(signal.SIGQUIT)
    scene.postgres.launch()
    yield
    wait_until("PostgreSQL to be ready", scene.postgres.is_ready)


@contextlib.contextmanager
def stopped_database(scene, fault):
    scene.postgres.end(signal.SIGINT)
    began = time.monotonic()
    scene.until_told(fault)
    yield
    time.sleep(max(0.0, AWAY - (time.monotonic() - began)))
    scene.postgres.launch()
    wait_until("PostgreSQL to be ready", scene.postgres.is_ready)


@contextlib.contextmanager
def killed_database(scene, fault):
    scene.postgres.end(signal.SIGKILL)
    scene.until_told(fault)
    yield
    supervise(scene.postgres)


@contextlib.contextmanager
def killed_connection(scene, fault):
    """One of its processes is killed; then it ends all the others and recovers by itself."""
    rows = scene.postgres.query("SELECT pid FROM pg_stat_activity WHERE datname = 'postfleet' AND pid <> pg_backend_pid()")
    if rows:
        os.kill(int(rows[0][0]), signal.SIGKILL)
    yield
    wait_until("PostgreSQL to be ready", scene.postgres.is_ready)


@contextlib.contextmanager
def silent_database(scene, fault):
    """Its processes stand still, and so do those who wait for them."""
    pids = [scene.postgres.process.pid, *children(scene.postgres.process.pid)]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    yield
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def children(pid):
    done = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    return [int(line) for line in done.stdout.split()]


def supervise(postgres):
    """Starts the database again until it stays: what is left of the old one may be in the way for a moment."""
    if postgres is None:
        return

    def ready():
        if not postgres.is_running():
            postgres.launch()
        return postgres.is_ready()

    wait_until("PostgreSQL to be ready", ready, 60, 0.2)


def plan(engine):
    """What is made to fail on an engine, in this order: (the fault, its context, whether reading must go on)."""
    everywhere = [
        (Fault("full blob folder", {FULL}, {FULL}, False, spares_small=True), full_blob_folder, True),
        (Fault("read-only blob folder", {NOT_NOW}, {NOT_NOW}, False, spares_small=True), read_only_blob_folder, True),
        (Fault("missing blob folder", {NOT_NOW}, {NOT_NOW}, False, spares_small=True), missing_blob_folder, True),
        (Fault("failed sync of bodies", {NOT_NOW}, {NOT_NOW}, False, spares_small=True), failed_body_sync, True),
    ]
    if engine == "sqlite":
        gone = {NOT_NOW, "421 4.3.2", "421 4.3.0", CUT}
        return [
            (Fault("full disk", {FULL}, {FULL}, False), full_disk, True),
            *everywhere,
            (Fault("failed sync of the database", gone, {NOT_NOW}, True), failed_sync_of("database"), False),
            (Fault("failed sync of a checkpoint", gone, set(), True), failed_sync_of("checkpoint"), False),
        ]
    return [
        *everywhere,
        (Fault("full disk of the database", {FULL, NOT_NOW}, {FULL, NOT_NOW}, True), full_disk, False),
        (Fault("restarted database", {NOT_NOW}, {NOT_NOW}, True), restarted_database, False),
        (Fault("stopped database", {NOT_NOW}, {NOT_NOW}, True), stopped_database, False),
        (Fault("killed database", {NOT_NOW}, {NOT_NOW}, True), killed_database, False),
        (Fault("killed connection", {NOT_NOW}, set(), True), killed_connection, False),
        (Fault("silent database", set(), set(), False), silent_database, False),
    ]
