"""How a Postfix of our own is set up: it listens on loopback, keeps everything in its folder, and puts the mail of one domain
into Maildirs. For the acceptance tests and for the benchmarks. Needs root.
"""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

MAIN = """
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = {home}/mail.log
maillog_file_prefixes = {home}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = {host}
mydestination =
alias_maps =
alias_database =
local_transport = error:no local mail
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
virtual_mailbox_base = {home}/mail
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = texthash:{home}/etc/mailboxes
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
message_size_limit = 52428800
"""
PLACES = ("command_directory", "daemon_directory", "shlib_directory")
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


def set_up(home, port, host, domain, people, **settings):
    """Writes what it needs to start, and makes its folders. Answers where its configuration is."""
    home, nobody = Path(home), pwd.getpwnam("nobody")
    for name in ("etc", "queue", "data", "mail"):
        (home / name).mkdir(parents=True)
    shutil.chown(home / "data", "postfix")
    os.chown(home / "mail", nobody.pw_uid, nobody.pw_gid)
    postconf = shutil.which("postconf", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    settings |= {name: subprocess.check_output([postconf, "-dh", name], text=True).strip() for name in PLACES}
    main = MAIN.format(home=home, host=host, domain=domain, uid=nobody.pw_uid, gid=nobody.pw_gid)
    etc = home / "etc"
    (etc / "main.cf").write_text(main + "".join(f"{name} = {value}\n" for name, value in settings.items()))
    (etc / "master.cf").write_text(MASTER.format(port=port))
    (etc / "mailboxes").write_text("".join(f"{person}@{domain} {person}/\n" for person in people))
    return etc
