//! What the commands talk to: a platform of their own behind a socket on loopback, or a server that answers as scripted.

use clap::FromArgMatches;
use futures::FutureExt;
use futures::future::BoxFuture;
use postfleet_api::{Health, Interface, Origins, router, serve};
use postfleet_cli::{Command, Pause, Surroundings, program, run};
use postfleet_mailflow::webhooks;
use postfleet_testkit::world::{NewTenant, Tenant, World};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A platform with the organization acme.test, its interface, and somebody who types.
pub struct Installation {
    pub url: String,
    pub acme: Tenant,
    pub home: TempDir,
    pub world: World,
    _stop: DropGuard,
}

/// What came of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: u8,
    pub stdout: String,
    pub stderr: String,
}

struct Well;

impl Health for Well {
    fn not_ready(&self) -> BoxFuture<'_, Option<String>> {
        async { None }.boxed()
    }

    fn metrics(&self) -> BoxFuture<'_, String> {
        async { String::new() }.boxed()
    }
}

impl Installation {
    pub async fn new() -> Self {
        let world = World::new().await;
        let acme = world.tenant(NewTenant::of("acme.test")).await;
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("http://{}", socket.local_addr().expect("address"));
        let router = router(Interface {
            platform: world.platform.clone().into(),
            health: Arc::new(Well),
            origins: Origins::default(),
        });
        let stop = CancellationToken::new();
        tokio::spawn(serve(socket, router, world.platform.clock.clone(), 4_096, stop.clone()));
        let home = tempfile::tempdir().expect("a temporary folder");
        Self { url, acme, home, world, _stop: stop.drop_guard() }
    }

    /// POST below `/v3` with the application's key: what was answered, if it was not refused.
    pub async fn ask(&self, path: &str, body: &Value) -> Value {
        let request = reqwest::Client::new().post(format!("{}/v3/{path}", self.url)).bearer_auth(&self.acme.api_key);
        let request = request.header("content-type", "application/json").body(body.to_string());
        let text = request.send().await.expect("loopback").text().await.expect("an answer");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["data"].clone()
    }

    /// GET below `/v3` with the application's key.
    pub async fn list(&self, path: &str) -> Value {
        let request = reqwest::Client::new().get(format!("{}/v3/{path}", self.url)).bearer_auth(&self.acme.api_key);
        let text = request.send().await.expect("loopback").text().await.expect("an answer");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["data"].clone()
    }

    /// What lets time pass on this platform, which tells webhooks and alerts meanwhile.
    pub fn pause(&self) -> Pause<'_> {
        Box::new(|time| {
            let (platform, clock) = (self.world.platform.clone(), self.world.clock.clone());
            Box::pin(async move {
                clock.advance(time);
                for mut hook in webhooks::lease(&platform).await.expect("lease") {
                    webhooks::round(&platform, &mut hook).await.expect("round");
                }
            })
        })
    }

    /// The environment of somebody who has set everything.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let home = self.home.path().display().to_string();
        let pairs = [
            ("POSTFLEET_URL", self.url.as_str()),
            ("POSTFLEET_KEY", &self.acme.api_key),
            ("POSTFLEET_OPERATOR_KEY", &self.acme.operator_key),
            ("XDG_CONFIG_HOME", &home),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// What the command line does not do itself, with the application's key.
    pub async fn post(&self, path: &str, body: &str) -> Ran {
        let request = reqwest::Client::new().post(format!("{}{path}", self.url)).bearer_auth(&self.acme.api_key);
        let request = request.header("Content-Type", "application/json").body(body.to_owned());
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body = answer.text().await.expect("a body");
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        Ran { code: 0, stdout: format!("{status} {body:#}"), stderr: String::new() }
    }
}

/// Runs a command in this process. Whatever it waits for has happened.
pub async fn type_in(words: &[String], variables: BTreeMap<String, String>, stdin: &str, is_terminal: bool) -> Ran {
    type_in_at(words, variables, stdin, is_terminal, Box::new(|_| async {}.boxed_local())).await
}

/// As [`type_in`], with something that lets time pass.
pub async fn type_in_at(
    words: &[String],
    variables: BTreeMap<String, String>,
    stdin: &str,
    is_terminal: bool,
    pause: Pause<'_>,
) -> Ran {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let parsed = program().try_get_matches_from(words).and_then(|matches| Command::from_arg_matches(&matches));
    let code = match parsed {
        Err(error) => {
            let shown = error.to_string().into_bytes();
            if error.use_stderr() {
                stderr.extend(shown)
            } else {
                stdout.extend(shown)
            }
            u8::try_from(error.exit_code()).expect("a small code")
        }
        Ok(command) => {
            let mut surroundings = Surroundings {
                variables,
                stdin: Box::new(Cursor::new(stdin.to_owned())),
                stdin_is_terminal: is_terminal,
                stdout: Box::new(&mut stdout),
                stdout_is_terminal: false,
                stderr: Box::new(&mut stderr),
                pause,
            };
            run(command, &mut surroundings, program()).await
        }
    };
    let text = |octets| String::from_utf8(octets).expect("text");
    Ran { code, stdout: text(stdout), stderr: text(stderr) }
}
