"""What is made to fail under the server, and how that ends: disks, the blob folder, syncs, the database.

A fault is begun, held for a while and ended; what has to be known about it is a `Fault` of the ledger.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from failures_ledger import Fault
from harness import Missing, wait_until

# Seconds after which whatever was waited for is taken not to happen, however slow the machine is.
PATIENCE = 120

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

    def __init__(self, server, postgres, blobs, disk, plants, senders):
        self.server, self.postgres, self.blobs, self.disk, self.plants = server, postgres, blobs, disk, plants
        self.senders = senders

    def until_told(self, fault, again=lambda: None):
        """Waits until a sender was told what it must be told."""
        self.until(f"{fault.name} to be noticed", lambda: again() or self.senders.were_told(fault))

    def until_gone_on(self):
        """Waits until each sender was answered, whatever it was told."""
        mark = len(self.senders.offers)
        self.until("senders to be answered", lambda: self.senders.have_gone_on(mark))

    def until_stuck(self, with_large_ones):
        self.until("senders to wait", lambda: self.senders.are_stuck(with_large_ones))

    def until_ended(self, process):
        """Waits until a process has ended, for as long as it takes messages: what it ends of may need many of them."""
        while process.poll() is None:
            mark = len(self.senders.offers)

            def goes_on(mark=mark):
                return process.poll() is not None or len(self.senders.since(mark)) > 0

            wait_until("the server to end or to answer", goes_on, PATIENCE, 0.02)

    def until(self, what, condition):
        """A fault goes on as long as it takes. Where that is too long the run ends all the same: the check says what is wrong."""
        try:
            wait_until(what, condition, PATIENCE, 0.02)
        except AssertionError as error:
            print(f"  {error}", flush=True)


# Each fault: what it is called and may do, and a context in which it lasts. What comes after its `yield` ends it.


@contextlib.contextmanager
def full_disk(scene, fault):
    scene.disk.fill()
    scene.until_told(fault, again=scene.disk.fill)
    yield
    scene.until_gone_on()
    scene.disk.make_room()
    supervise(scene.postgres)


@contextlib.contextmanager
def full_blob_folder(scene, fault):
    scene.blobs.fill()
    scene.until_told(fault, again=scene.blobs.fill)
    yield
    scene.until_gone_on()
    scene.blobs.make_room()


@contextlib.contextmanager
def read_only_blob_folder(scene, fault):
    scene.blobs.set_read_only(True)
    scene.until_told(fault)
    yield
    scene.until_gone_on()
    scene.blobs.set_read_only(False)


@contextlib.contextmanager
def missing_blob_folder(scene, fault):
    scene.blobs.take_away()
    scene.until_told(fault)
    yield
    scene.until_gone_on()
    scene.blobs.bring_back()


@contextlib.contextmanager
def failed_body_sync(scene, fault):
    (scene.plants / "bodies").touch()
    scene.until_told(fault)
    yield
    scene.until_gone_on()
    (scene.plants / "bodies").unlink()


@contextlib.contextmanager
def hanging_blob_folder(scene, fault):
    """As a network volume whose server does not answer: what needs it waits, and is done once it is back."""
    (scene.plants / "hanging").touch()
    scene.until_stuck(with_large_ones=True)
    yield
    (scene.plants / "hanging").unlink()


def failed(name):
    """What the server ends after; who started it starts it again."""

    @contextlib.contextmanager
    def lasts(scene, fault):
        (scene.plants / name).touch()
        process = scene.server.process
        scene.until_ended(process)
        if process.returncode == 0:
            fault.misread.append("the server ended as if all were well")
        yield
        (scene.plants / name).unlink()
        scene.server.process = None
        scene.server.start()

    return lasts


def ended_database(by):
    """The database, ended by a signal and started again at once."""

    @contextlib.contextmanager
    def lasts(scene, fault):
        scene.postgres.end(by)
        scene.postgres.launch()
        yield
        supervise(scene.postgres)

    return lasts


@contextlib.contextmanager
def stopped_database(scene, fault):
    scene.postgres.end(signal.SIGINT)
    scene.until_told(fault)
    yield
    scene.until_gone_on()
    supervise(scene.postgres)


@contextlib.contextmanager
def killed_database(scene, fault):
    """Its first process is killed; the others notice it by themselves."""
    scene.postgres.end(signal.SIGKILL)
    scene.until_told(fault)
    yield
    supervise(scene.postgres)


@contextlib.contextmanager
def ended_sessions(scene, fault):
    scene.postgres.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}")
    yield
    scene.until_gone_on()


@contextlib.contextmanager
def killed_session(scene, fault):
    """One of its processes is killed; then it ends all the others and recovers by itself."""
    before = sessions(scene.postgres)
    if before:
        os.kill(min(before), signal.SIGKILL)
    yield

    def are_gone():
        try:
            return not before & sessions(scene.postgres)
        except AssertionError:
            # It is recovering.
            return False

    wait_until("PostgreSQL to have recovered", are_gone, PATIENCE, 0.05)
    supervise(scene.postgres)


@contextlib.contextmanager
def silent_database(scene, fault):
    """Its processes stand still, and so do those who wait for them."""
    pids = [scene.postgres.process.pid, *children(scene.postgres.process.pid)]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    scene.until_stuck(with_large_ones=False)
    yield
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


OURS = "datname = 'postfleet' AND pid <> pg_backend_pid()"


def sessions(postgres):
    return {int(pid) for (pid,) in postgres.query(f"SELECT pid FROM pg_stat_activity WHERE {OURS}")}


def children(pid):
    done = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    return [int(line) for line in done.stdout.split()]


def supervise(postgres):
    """Starts the database, and again until it stays: what is left of the old one may be in the way for a moment."""
    if postgres is None:
        return

    def ready():
        if not postgres.is_running():
            postgres.launch()
        return postgres.is_ready()

    wait_until("PostgreSQL to be ready", ready, PATIENCE, 0.1)


@dataclass
class Act:
    """What is made to fail, and what goes on meanwhile."""

    fault: Fault
    context: Callable
    # Whether reading works, and whether the interface can be asked at all.
    can_read: bool = False
    can_ask: bool = True
    # What is said of a body that is in the folder; None: it is not tried.
    large_body: int | None = None


def plan(engine):
    """What is made to fail on an engine, in this order."""

    def of_bodies(name, told, context, large_body=200):
        return Act(Fault(name, told, told, False, spares_small=True), context, can_read=True, large_body=large_body)

    everywhere = [
        of_bodies("full blob folder", {FULL}, full_blob_folder),
        of_bodies("read-only blob folder", {NOT_NOW}, read_only_blob_folder),
        of_bodies("missing blob folder", {NOT_NOW}, missing_blob_folder, large_body=503),
        of_bodies("failed sync of bodies", {NOT_NOW}, failed_body_sync),
        of_bodies("hanging blob folder", set(), hanging_blob_folder),
    ]
    if engine == "sqlite":
        gone = {NOT_NOW, "421 4.3.2", "421 4.3.0", CUT}
        return [
            Act(Fault("full disk", {FULL}, {FULL}, False), full_disk, can_read=True, large_body=200),
            *everywhere,
            Act(Fault("failed sync of the database", gone, gone, True, ends_server=True), failed("database"), can_ask=False),
            Act(Fault("failed write to the database", gone, gone, True, ends_server=True), failed("writes"), can_ask=False),
            Act(Fault("failed sync of a checkpoint", gone, set(), True, ends_server=True), failed("checkpoint"), can_ask=False),
        ]
    return [
        *everywhere,
        Act(Fault("full disk of the database", {FULL, NOT_NOW}, {FULL, NOT_NOW}, True), full_disk),
        # As an administrator does it: sessions are ended.
        Act(Fault("restarted database", {NOT_NOW}, set(), True), ended_database(by=signal.SIGINT)),
        # Without a word to anybody: recovery is part of it.
        Act(Fault("crashed database", {NOT_NOW}, set(), True), ended_database(by=signal.SIGQUIT)),
        Act(Fault("stopped database", {NOT_NOW}, {NOT_NOW}, True), stopped_database),
        Act(Fault("killed database", {NOT_NOW}, {NOT_NOW}, True), killed_database),
        Act(Fault("ended sessions", {NOT_NOW}, set(), True), ended_sessions),
        Act(Fault("killed session", {NOT_NOW}, set(), True), killed_session),
        Act(Fault("silent database", set(), set(), False), silent_database, can_ask=False),
    ]
