//! Where the server is and with which keys it is asked: flags, then the environment, then the file
//! `$XDG_CONFIG_HOME/postfleet/cli.toml`. A key from the file goes to the URL of the file only, never to another one that
//! a flag or a variable names.

use crate::failure::Failure;
use crate::surroundings::Surroundings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Where `serve` listens unless it is told otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// What every command takes that asks a server.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Connection and output")]
pub struct Globals {
    /// The server's base URL [env: POSTFLEET_URL; default: http://127.0.0.1:8080]
    #[arg(long = "url", id = "global_url", value_name = "URL", global = true)]
    pub url: Option<String>,
    /// An application's key [env: POSTFLEET_KEY]
    #[arg(long = "key", id = "global_key", value_name = "KEY", global = true)]
    pub key: Option<String>,
    /// An operator's key [env: POSTFLEET_OPERATOR_KEY]
    #[arg(long = "operator-key", id = "global_operator_key", value_name = "KEY", global = true)]
    pub operator_key: Option<String>,
    /// A profile of the file [env: POSTFLEET_PROFILE]
    #[arg(long = "profile", id = "global_profile", value_name = "NAME", global = true)]
    pub profile: Option<String>,
    /// Print the interface's data as one JSON document; failures are JSON on the standard error
    #[arg(long = "json", id = "global_json", global = true)]
    pub json: bool,
}

/// Where to, and with what.
#[derive(Clone)]
pub struct Connection {
    /// The base URL.
    pub url: String,
    /// The application's key.
    pub key: Option<String>,
    /// The operator's key.
    pub operator_key: Option<String>,
}

/// One server in the file.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The base URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The application's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The operator's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_key: Option<String>,
}

/// The file: a profile without a name, and others by name.
#[derive(Default, Serialize, Deserialize)]
pub struct File {
    #[serde(flatten)]
    unnamed: Profile,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    profiles: BTreeMap<String, Profile>,
}

impl Connection {
    /// Puts together what flags, environment and file say; answers it with warnings for people.
    pub fn find(globals: &Globals, surroundings: &Surroundings<'_>) -> Result<(Self, Vec<String>), Failure> {
        let mut warnings = Vec::new();
        let path = path(surroundings);
        let file = path.as_deref().map(File::read).transpose()?.unwrap_or_default();
        warnings.extend(path.as_deref().and_then(readable_by_others));
        let name = profile_name(globals, surroundings);
        let profile = file.profile(name.as_deref())?;

        Ok((Self::said(globals, surroundings, &profile), warnings))
    }

    /// What flags and environment say, and where they are silent, a profile.
    pub fn said(globals: &Globals, surroundings: &Surroundings<'_>, profile: &Profile) -> Self {
        let of_flags = |flag: &Option<String>, variable| {
            flag.clone().or_else(|| surroundings.variable(variable).map(str::to_owned))
        };
        let of_file = profile.url.as_deref().unwrap_or(DEFAULT_URL);
        let url = of_flags(&globals.url, "POSTFLEET_URL").unwrap_or_else(|| of_file.to_owned());
        let is_same = url.trim_end_matches('/') == of_file.trim_end_matches('/');
        let kept = |key: &Option<String>| key.clone().filter(|_| is_same);
        let operator_key = of_flags(&globals.operator_key, "POSTFLEET_OPERATOR_KEY");
        Self {
            key: of_flags(&globals.key, "POSTFLEET_KEY").or_else(|| kept(&profile.key)),
            operator_key: operator_key.or_else(|| kept(&profile.operator_key)),
            url,
        }
    }
}

/// The profile that is asked for, if it is not the one without a name.
pub fn profile_name(globals: &Globals, surroundings: &Surroundings<'_>) -> Option<String> {
    globals.profile.clone().or_else(|| surroundings.variable("POSTFLEET_PROFILE").map(str::to_owned))
}

/// Where the file is, if it can be told.
pub fn path(surroundings: &Surroundings<'_>) -> Option<PathBuf> {
    let folder = surroundings.variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let folder = folder.or_else(|| Some(Path::new(surroundings.variable("HOME")?).join(".config")));
    folder.map(|folder| folder.join("postfleet/cli.toml"))
}

impl File {
    /// Reads the file; one that is not there says nothing.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let local = |cause: String| Failure::Local(format!("{}: {cause}", path.display()));
        match fs::read_to_string(path) {
            // The parser's whole text would show the line, in which a key may stand.
            Ok(text) => toml::from_str(&text).map_err(|error| local(error.message().to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(local(error.to_string())),
        }
    }

    fn profile(&self, name: Option<&str>) -> Result<Profile, Failure> {
        let Some(name) = name else { return Ok(self.unnamed.clone()) };
        self.profiles.get(name).cloned().ok_or_else(|| {
            Failure::Usage(format!("there is no profile {name:?}; `postfleet login --profile {name}` makes it"))
        })
    }

    /// Puts a profile in its place.
    pub fn set(&mut self, name: Option<&str>, profile: Profile) {
        match name {
            None => self.unnamed = profile,
            Some(name) => drop(self.profiles.insert(name.to_owned(), profile)),
        }
    }

    /// Writes the file for its owner alone, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let local = |cause: &dyn std::fmt::Display| Failure::Local(format!("{}: {cause}", path.display()));
        let text = toml::to_string(self).map_err(|error| local(&error))?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| local(&error))?;
        }
        let beside = path.with_extension("toml.new");
        // One left behind might be readable by others, and opening it would keep that.
        let _ = fs::remove_file(&beside);
        let mut file =
            private(OpenOptions::new().write(true).create_new(true)).open(&beside).map_err(|error| local(&error))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| local(&error))?;
        fs::rename(&beside, path).map_err(|error| local(&error))
    }
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).ok()?.permissions().mode();
    let is_open = mode & 0o077 != 0;
    is_open.then(|| format!("{0} can be read by others and holds keys: chmod 600 {0}", path.display()))
}

#[cfg(not(unix))]
fn readable_by_others(_: &Path) -> Option<String> {
    None
}
