//! Many mailboxes from a file: as many requests as it takes, each for up to 1,000. Making one again is harmless, so a file
//! may be imported again after it was put right.

use super::super::names::WORKSPACE;
use crate::client::Api;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind, plain, table};
use crate::session::Session;
use serde_json::{Value, json};

/// How many one request makes.
const AT_ONCE: usize = 1_000;

/// Making many.
#[derive(clap::Args)]
pub struct Import {
    /// A file with a line `email[,name]` for each mailbox, or JSON as POST /v3/grants/bulk takes it; - is the standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    file: String,
    /// Their workspace, where the file names none: id, name or domain
    #[arg(long, value_name = "WORKSPACE")]
    workspace: Option<String>,
}

/// Makes them, and says which were refused.
pub async fn run(arguments: Import, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let mut grants = read(&session.read(&arguments.file)?)?;
    if let Some(workspace) = &arguments.workspace {
        let id = WORKSPACE.id(api, workspace).await?;
        for grant in grants.iter_mut().filter(|grant| grant.is_object() && grant["workspace_id"].is_null()) {
            grant["workspace_id"] = json!(id);
        }
    }
    let mut all = json!({"created": 0, "existing": 0, "failed": 0, "results": []});
    let mut results = Vec::new();
    for (index, chunk) in grants.chunks(AT_ONCE).enumerate() {
        let answer = match api.post(&["grants", "bulk"], &json!({"grants": chunk})).await {
            Ok(answer) => answer.data(),
            Err(failure) => {
                let done = index * AT_ONCE;
                session.note(&format!("the first {done} of {} were asked for; import the file again", grants.len()));
                return Err(failure);
            }
        };
        for field in ["created", "existing", "failed"] {
            all[field] = json!(all[field].as_u64().unwrap_or(0) + answer[field].as_u64().unwrap_or(0));
        }
        for mut result in answer["results"].as_array().cloned().unwrap_or_default() {
            result["index"] = json!(result["index"].as_u64().unwrap_or(0) + (index * AT_ONCE) as u64);
            results.push(result);
        }
    }
    show(all, results, &grants, session)
}

fn show(mut all: Value, results: Vec<Value>, grants: &[Value], session: &mut Session<'_, '_>) -> Outcome {
    let failed = all["failed"].as_u64().unwrap_or(0);
    if session.is_json() {
        all["results"] = Value::Array(results);
        session.print_json(&all)?;
    } else {
        let counts = ["created", "existing", "failed"].map(|field| format!("{} {field}", plain(&all[field])));
        session.print(&format!("{}\n", counts.join(", ")))?;
        let refused = results.into_iter().filter(|result| result["status"] == "failed").map(|mut result| {
            let index = result["index"].as_u64().unwrap_or(0) as usize;
            result["email"] = grants.get(index).map_or(Value::Null, |grant| grant["settings"]["email"].clone());
            result["place"] = json!(index + 1);
            result
        });
        let refused: Vec<Value> = refused.collect();
        if !refused.is_empty() {
            session.print("\n")?;
            session.print_table(&table(REFUSED, &refused))?;
        }
    }
    if failed > 0 { Err(Failure::Partly(format!("{failed} of {} were refused", grants.len()))) } else { Ok(()) }
}

const REFUSED: &[Column] = &[
    Column("place", "/place", Kind::Count),
    Column("email", "/email", Kind::Text),
    Column("code", "/error/code", Kind::Text),
    Column("why", "/error/message", Kind::Text),
];

/// What a file says: JSON, or a line for each mailbox. Empty lines and those that begin with `#` say nothing.
fn read(text: &str) -> Result<Vec<Value>, Failure> {
    let trimmed = text.trim_start();
    let grants = if trimmed.starts_with(['{', '[']) {
        let json: Value =
            serde_json::from_str(text).map_err(|error| Failure::Usage(format!("the file is not JSON: {error}")))?;
        let list = if json.is_array() { json } else { json["grants"].clone() };
        let Value::Array(list) = list else {
            return Err(Failure::Usage("the file must have a list, or an object with the list \"grants\"".to_owned()));
        };
        list
    } else {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(of_line).collect()
    };
    if grants.is_empty() {
        return Err(Failure::Usage("the file names no mailbox".to_owned()));
    }
    Ok(grants)
}

fn of_line(line: &str) -> Value {
    let (email, name) = line.split_once(',').unwrap_or((line, ""));
    let mut grant = json!({"settings": {"email": email.trim()}});
    if !name.trim().is_empty() {
        grant["name"] = json!(name.trim());
    }
    grant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_lines_or_json() {
        let of_lines = read("# fleet\n\none@a.test, One \r\ntwo@a.test\n").unwrap();
        let one = json!({"settings": {"email": "one@a.test"}, "name": "One"});
        assert_eq!(of_lines, [one.clone(), json!({"settings": {"email": "two@a.test"}})]);
        assert_eq!(read(&json!([one]).to_string()).unwrap(), std::slice::from_ref(&one));
        assert_eq!(read(&json!({"grants": [one]}).to_string()).unwrap(), [one]);
        for wrong in ["", "# nothing\n", "{}", "[", "[]"] {
            assert!(matches!(read(wrong), Err(Failure::Usage(_))), "{wrong:?}");
        }
    }
}
