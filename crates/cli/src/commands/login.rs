//! `postfleet login`: keeps a server and its keys in the file, after they have proved to be good.

use crate::client::Api;
use crate::connection::{self, Connection, File, Profile};
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use serde_json::json;

/// Runs it.
pub async fn run(session: &mut Session<'_, '_>) -> Outcome {
    let globals = session.globals.clone();
    let mut said = session.connection().clone();
    if said.key.is_none() && said.operator_key.is_none() {
        said.key = session.ask("the application's key (it is shown as you type; empty for none)")?;
        said.operator_key = session.ask("the operator's key (empty for none)")?;
    }
    if said.key.is_none() && said.operator_key.is_none() {
        return Err(Failure::Usage("nothing to keep: give --key, --operator-key or both".to_owned()));
    }
    prove(&said).await?;

    let nowhere = || Failure::Usage("set HOME or XDG_CONFIG_HOME: the file has no place otherwise".to_owned());
    let path = connection::path(session.surroundings()).ok_or_else(nowhere)?;
    let name = connection::profile_name(&globals, session.surroundings());
    let mut file = File::read(&path)?;
    let Connection { url, key, operator_key } = said;
    let kept = json!({"file": path.display().to_string(), "profile": name, "url": url});
    file.set(name.as_deref(), Profile { url: Some(url), key, operator_key });
    file.write(&path)?;
    if session.is_json() {
        return session.print_json(&kept);
    }
    session.print(&format!("the keys are good, and kept in {}\n", path.display()))
}

/// Asks the server something harmless with each key. Nothing is kept that does not work.
async fn prove(connection: &Connection) -> Outcome {
    // A key may be good and not allowed to see this; any refusal but for a key that is unknown says so.
    let is_known = |asked: Result<_, Failure>| match asked {
        Err(Failure::Refused(refusal)) if refusal.code == "insufficient_scopes" => Ok(()),
        Err(failure) => Err(failure),
        Ok(_) => Ok(()),
    };
    if let Some(key) = &connection.key {
        is_known(Api::new(connection, key)?.get(&["applications"]).await)?;
    }
    if let Some(key) = &connection.operator_key {
        is_known(Api::new(connection, key)?.get(&["admin", "plans"]).await)?;
    }
    Ok(())
}
