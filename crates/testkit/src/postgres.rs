//! A PostgreSQL server for tests: a fresh one in a temporary folder, with durability as in production, on a free
//! loopback port. It ends when its handle is dropped and also when the test process dies in whatever way, because
//! it hangs on a pipe that the kernel closes then. A server that runs on the machine already is never touched.

use std::env;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// Set to `1` where a missing server must fail the tests instead of skipping them.
pub const REQUIRE_VARIABLE: &str = "POSTFLEET_TEST_REQUIRE_POSTGRES";

/// A port may be taken by somebody else between choosing it and listening on it.
const START_ATTEMPTS: usize = 5;
const READY_CHECKS: usize = 1_200;
const BETWEEN_CHECKS: Duration = Duration::from_millis(25);

/// The account to use when the tests run as root, which the server refuses.
const SERVER_ACCOUNT: &str = "postgres";

/// Runs the server ($2 and following) until it ends or the standard input is closed; in the second case nobody else
/// is left to remove the folder ($1). The immediate shutdown is the crash that the server is made to survive.
const KEEPER: &str = r#"
folder=$1; shift
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
(cat <&3 >/dev/null; : >"$folder/ended"; kill -QUIT $server) &
watcher=$!
exec 3<&-
wait $server
kill $watcher 2>/dev/null
if [ -e "$folder/ended" ]; then rm -rf "$folder"; fi
"#;

/// A running server; stops when dropped.
pub struct PostgresServer {
    port: u16,
    keeper: Child,
    /// Dropped after the server has stopped.
    folder: TempDir,
}

impl PostgresServer {
    /// Starts a server; `None`, with a line on standard error, when none is installed.
    ///
    /// # Panics
    ///
    /// When a server is installed and cannot be started, and when none is installed although
    /// `POSTFLEET_TEST_REQUIRE_POSTGRES=1` asks for one.
    pub fn start() -> Option<Self> {
        let Some(programs) = find_programs() else {
            let required = env::var(REQUIRE_VARIABLE).is_ok_and(|value| value == "1");
            assert!(!required, "PostgreSQL is not installed, and {REQUIRE_VARIABLE}=1 requires it");
            // Written past the test harness, which shows captured output of failing tests only.
            let _ = writeln!(std::io::stderr(), "SKIPPED: PostgreSQL is not installed; tests that need it do not run");
            return None;
        };
        let mut failures = Vec::new();
        for _ in 0..START_ATTEMPTS {
            match Self::try_start(&programs) {
                Ok(server) => return Some(server),
                Err(why) => failures.push(why),
            }
        }
        panic!("failed to start PostgreSQL from {}:\n{}", programs.display(), failures.join("\n"));
    }

    /// The server of this test process, started by the first who asks and stopped when the process ends.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<PostgresServer>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// The URL of its maintenance database.
    pub fn url(&self) -> String {
        self.database_url("postgres")
    }

    /// Makes an empty database for one test and returns its URL. `name` (lower-case letters, digits, underscores)
    /// is for reading logs; a number makes it unique.
    pub fn create_database(&self, name: &str) -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'_';
        assert!(name.len() <= 50 && name.bytes().all(plain), "not a plain database name: {name:?}");
        let name = format!("{name}_{}", MADE.fetch_add(1, Ordering::Relaxed));
        execute(self.url(), format!("CREATE DATABASE \"{name}\"")).expect("failed to create a database");
        self.database_url(&name)
    }

    /// Removes a database that [`Self::create_database`] made, and whoever is connected to it: several hundred tests
    /// with a database each fill a small disk. One that cannot be removed is left to go with the server.
    pub fn remove_database(&self, url: &str) {
        let name = url.rsplit('/').next().unwrap_or_default();
        let _ = execute(self.url(), format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
    }

    fn database_url(&self, database: &str) -> String {
        format!("postgres://{SERVER_ACCOUNT}@127.0.0.1:{}/{database}", self.port)
    }

    fn try_start(programs: &Path) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("postfleet-pg-").tempdir().map_err(|error| error.to_string())?;
        let account = Account::for_folder(folder.path())?;
        initialise(programs, folder.path(), &account)?;
        let port = free_port();
        let keeper = launch(programs, folder.path(), &account, port)?;
        let mut server = Self { port, keeper, folder };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..READY_CHECKS {
            if let Ok(Some(status)) = self.keeper.try_wait() {
                return Err(format!("the server ended ({status}): {}", self.log()));
            }
            match execute(self.url(), "SELECT 1".to_owned()) {
                Ok(()) => return Ok(()),
                Err(why) => last = why,
            }
            #[expect(clippy::disallowed_methods, reason = "a server is started outside any runtime")]
            std::thread::sleep(BETWEEN_CHECKS);
        }
        Err(format!("the server does not become ready ({last}): {}", self.log()))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_else(|error| format!("no log: {error}"))
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // Closing the pipe is the signal to stop; the keeper ends after the server.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// The newest version under the folder where Debian keeps them side by side, else what is on the path.
fn find_programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let installed = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .filter(|(_, programs)| has_server(programs))
        .max();
    if let Some((_, programs)) = installed {
        return Some(programs);
    }
    env::split_paths(&env::var_os("PATH")?).find(|programs| has_server(programs))
}

fn has_server(programs: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|program| programs.join(program).is_file())
}

/// Who runs the server: the present user, or for root the account of the server.
enum Account {
    Own,
    Server { uid: u32, gid: u32 },
}

impl Account {
    /// Finds out by the owner of a folder just made, and hands the folder over.
    fn for_folder(folder: &Path) -> Result<Self, String> {
        let owner = fs::metadata(folder).map_err(|error| error.to_string())?.uid();
        if owner != 0 {
            return Ok(Self::Own);
        }
        let (uid, gid) = (number_of_account("-u")?, number_of_account("-g")?);
        chown(folder, Some(uid), Some(gid)).map_err(|error| error.to_string())?;
        Ok(Self::Server { uid, gid })
    }

    /// A command that runs `program` under this account, in `folder`, with a clean environment.
    fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = match self {
            Self::Own => Command::new(program),
            Self::Server { uid, gid } => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]);
                command.arg("--").arg(program);
                command
            }
        };
        let path = env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        command.env_clear().env("PATH", path).env("LC_ALL", "C").current_dir(folder);
        // Out of the process group of the test: an interrupt at the terminal reaches the server in order, through
        // the pipe.
        command.process_group(0);
        command
    }
}

fn number_of_account(which: &str) -> Result<u32, String> {
    let output = Command::new("id").args([which, SERVER_ACCOUNT]).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| format!("root cannot run the server, and there is no account {SERVER_ACCOUNT}"))
}

fn initialise(programs: &Path, folder: &Path, account: &Account) -> Result<(), String> {
    let output = account
        .command(&programs.join("initdb"), folder)
        .args(["--username", SERVER_ACCOUNT, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"])
        .arg("--pgdata")
        .arg(folder.join("data"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("initdb: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("initdb: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

fn launch(programs: &Path, folder: &Path, account: &Account, port: u16) -> Result<Child, String> {
    let log = fs::File::create(folder.join("log")).map_err(|error| error.to_string())?;
    let settings = [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        format!("unix_socket_directories={}", folder.display()),
        "fsync=on".to_owned(),
        "synchronous_commit=on".to_owned(),
        "max_connections=200".to_owned(),
        // The log of many short tests is kept no longer than it must.
        "max_wal_size=256MB".to_owned(),
    ];
    let mut command = account.command(Path::new("/bin/sh"), folder);
    command.args(["-c", KEEPER, "keeper"]).arg(folder).arg(programs.join("postgres"));
    command.arg("-D").arg(folder.join("data"));
    for setting in settings {
        command.args(["-c", &setting]);
    }
    // Nothing of ours may stay open in it but the pipe, or whoever reads the output of the tests waits for it.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
    command.spawn().map_err(|error| format!("sh: {error}"))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// Runs one statement. On a thread of its own, because the caller may be inside a runtime or not.
fn execute(url: String, statement: String) -> Result<(), String> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.map_err(describe)?;
            let connection = tokio::spawn(connection);
            client.batch_execute(&statement).await.map_err(describe)?;
            drop(client);
            connection.await.map_err(|error| error.to_string())?.map_err(describe)
        })
    })
    .join()
    .expect("the thread does not panic")
}

fn describe(error: tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read};
    use std::net::TcpStream;

    async fn ask(url: &str, query: &str) -> String {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connected");
        tokio::spawn(connection);
        client.query_one(query, &[]).await.expect("row").get(0)
    }

    #[tokio::test]
    async fn databases_are_apart_and_durable() {
        let Some(server) = PostgresServer::shared() else { return };
        let (one, two) = (server.create_database("same"), server.create_database("same"));
        assert_ne!(one, two);
        let name = ask(&one, "SELECT current_database()::text").await;
        assert!(one.ends_with(&name) && name.starts_with("same_"), "{one} {name}");
        for (setting, value) in [("fsync", "on"), ("synchronous_commit", "on"), ("server_encoding", "UTF8")] {
            assert_eq!(ask(&two, &format!("SHOW {setting}")).await, value, "{setting}");
        }
        assert!(std::ptr::eq(server, PostgresServer::shared().expect("the same one")));
        server.remove_database(&one);
        let count = format!("SELECT count(*)::text FROM pg_database WHERE datname IN ('{name}', 'postgres')");
        assert_eq!(ask(&server.url(), &count).await, "1", "a removed one is gone");
    }

    #[test]
    fn a_dropped_server_is_gone_with_its_folder() {
        let Some(server) = PostgresServer::start() else { return };
        let (folder, port) = (server.folder.path().to_owned(), server.port);
        assert!(folder.exists());
        drop(server);
        assert!(!folder.exists());
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect_err("nobody listens");
    }

    const PLAY_VICTIM: &str = "POSTFLEET_TEST_PLAY_VICTIM";

    /// Not a test of its own: the process that the next test kills.
    #[test]
    fn victim() {
        if env::var_os(PLAY_VICTIM).is_none() {
            return;
        }
        let port = PostgresServer::shared().map_or(0, |server| server.port);
        let mut output = std::io::stdout();
        writeln!(output, "\nport {port}").and_then(|()| output.flush()).expect("told");
        let _ = std::io::stdin().read(&mut [0]);
    }

    #[test]
    fn a_server_does_not_survive_a_killed_test_process() {
        let mut victim = Command::new(env::current_exe().expect("this program"))
            .args(["--exact", "postgres::tests::victim", "--nocapture"])
            .env(PLAY_VICTIM, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let lines = BufReader::new(victim.stdout.take().expect("piped")).lines();
        let port = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("port ").map(str::to_owned));
        let port: u16 = port.expect("told").parse().expect("number");
        let connection = (port != 0).then(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("listens"));
        victim.kill().expect("killed");
        victim.wait().expect("gone");
        // The server closes a connection that has said nothing when it ends; left alone it would wait a minute.
        if let Some(mut connection) = connection {
            connection.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
            assert_eq!(connection.read(&mut [0]).ok(), Some(0), "the server has ended");
        }
    }
}
