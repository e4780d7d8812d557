"""What a restore takes for a database of Narae's, a backup that nobody reads, and a folder whose restore was cut short."""
import fcntl
import json
import shutil
import signal
import sqlite3
import struct
import subprocess
import termios
import time

import pytest

from conftest import Platform, within
from test_backup import NARAE, backup, members_of, narae, pack, place, refused, unpacked, world  # noqa: F401  fixtures among them

PIPE_BYTES = 4096
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS id, 'a' AS account FROM n"
SCHEMA = "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET "


def changed(unpacked, place, file, sql):
    """An archive with a database that somebody has changed; its sums are right."""
    copy = place.parent / "changed"
    shutil.copytree(unpacked, copy)
    db = sqlite3.connect(copy / file, isolation_level=None)
    db.executescript(sql)
    db.close()
    return pack(members_of(copy), place.parent / "changed.narae")


@pytest.mark.parametrize("file, sql, why", [
    ("meta.db", f"DROP TABLE functions; CREATE VIEW functions AS {ENDLESS}", "the view 'functions'"),
    ("calls.db", f"DROP TABLE calls; CREATE VIEW calls AS {ENDLESS}", "the view 'calls'"),
    ("meta.db", SCHEMA + f"sql = 'CREATE VIEW usage AS {ENDLESS.replace(chr(39), chr(39) * 2)}' WHERE name = 'usage'",
     "its meta.db cannot be read: malformed database schema (usage)"),
    ("meta.db", f"CREATE TRIGGER more AFTER INSERT ON keys BEGIN INSERT INTO counters {ENDLESS}; END", "the trigger 'more'"),
    ("meta.db", "DROP TRIGGER latest_made; CREATE TRIGGER latest_made AFTER INSERT ON versions BEGIN DELETE FROM keys; END",
     "the trigger 'latest_made'"),
    ("scaling.db", "CREATE TABLE more(x)", "the table 'more'"),
    ("meta.db", "CREATE VIRTUAL TABLE more USING rtree(id, a, b)", "which this release does not make"),
    ("meta.db", "CREATE INDEX more ON counters(hex(zeroblob(value % 9)))", "the index 'more'"),
    ("meta.db", SCHEMA + "sql = replace(sql, 'value INTEGER', 'value INTEGER CHECK(length(hex(zeroblob(9))) > 0)')"
     " WHERE name = 'counters'", "the table 'counters'"),
    ("meta.db", SCHEMA + "rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'functions_of_package')"
     " WHERE name = 'functions_by_change'", "its meta.db"),
    ("meta.db", SCHEMA + "sql = 'no SQL at all' WHERE name = 'usage'", "its meta.db"),
    ("meta.db", "PRAGMA user_version = 1", "is not the database that backup.json says"),
])
def test_a_database_that_is_a_program_is_refused(unpacked, place, file, sql, why):  # noqa: F811
    archive = changed(unpacked, place, file, sql)
    if "user_version" in sql:  # the head says what it was
        members = members_of(place.parent / "changed")
        head = json.loads(members[0][1])
        head["schema"][file] += 1
        pack([("backup.json", json.dumps(head).encode()), *members[1:]], archive)
    refused(archive, place, why)


def test_what_was_changed_was_the_reason(unpacked, place):  # noqa: F811
    """The control: an archive that was made in the same way and says no more than it did is taken; functions of the catalog are not counted."""
    report = json.loads(narae("restore", changed(unpacked, place, "meta.db", "VACUUM"), "-o", "json", data=place)[0])
    assert report["functions"] == 2


def full(read):
    return struct.unpack("i", fcntl.ioctl(read, termios.FIONREAD, b"\0" * 4))[0] >= PIPE_BYTES


def test_a_backup_that_nobody_reads_can_be_ended(world):  # noqa: F811
    process = subprocess.Popen([NARAE, "backup", "-", "--data", world.platform.data], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        within(60, "the pipe is full", lambda: full(process.stdout))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 1
        assert b"ended by signal 15" in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
    assert [p.name for p in world.platform.data.iterdir() if p.name.startswith(".narae")] == []


def test_a_reader_that_is_slow_gets_all_of_it(world, place):  # noqa: F811
    process = subprocess.Popen([NARAE, "backup", "-", "--data", world.platform.data], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    within(60, "the pipe is full", lambda: full(process.stdout))
    got = b"".join(iter(lambda: process.stdout.read(1000), b""))
    process.stdout.close()
    assert process.wait(60) == 0
    narae("restore", "-", data=place, stdin=got)


def test_a_folder_whose_restore_was_cut_short_is_not_served(unpacked, backup, place):  # noqa: F811
    """Neither is it backed up: what is in it is half of the one and half of the other. The restore that is run again puts back what was there."""
    own = Platform(place.parent)
    shutil.copytree(unpacked, own.data)
    (own.data / "before-restore-x").mkdir()
    (own.data / "meta.db").rename(own.data / "before-restore-x" / "meta.db")
    mark = own.data / "restoring"
    mark.write_text("away before-restore-x .restore-x\n")
    own.spawn("--stems=off")
    assert own.wait() == 1
    assert f"a restore into the data folder {own.data} was interrupted: run it again" in own.said()
    assert "capability=" not in own.said() and mark.exists()
    assert "was interrupted: run it again first" in narae("backup", place.parent / "x.narae", status=1, data=own.data)[1]
    assert "holds data" in narae("restore", backup, status=1, data=own.data)[1]
    assert not mark.exists() and (own.data / "meta.db").exists()
    narae("backup", place.parent / "x.narae", data=own.data)
