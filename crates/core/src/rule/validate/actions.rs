//! What a rule is to do: words and folders of a request become actions, or a refusal.

use super::{ACTIONS_MAX, ActionInput, FOLDER_CHARS_MAX};
use crate::problem::Problem;
use crate::rule::Action;

/// Another word for `assign_to_folder`, of older clients.
const FOLDER_ALIAS: &str = "move_to_folder";

pub(super) fn read(input: Vec<ActionInput>) -> Result<Vec<Action>, Problem> {
    if !(1..=ACTIONS_MAX).contains(&input.len()) {
        return Err(Problem::invalid("actions", format!("actions must have 1 to {ACTIONS_MAX} actions")));
    }
    let actions = input.into_iter().enumerate().map(|(index, input)| action(&format!("actions[{index}]"), input));
    let actions = actions.collect::<Result<Vec<_>, _>>()?;
    if actions.len() > 1 && actions.contains(&Action::Block) {
        return Err(Problem::invalid("actions", "actions: block must be the only action of its rule"));
    }
    Ok(actions)
}

fn action(at: &str, input: ActionInput) -> Result<Action, Problem> {
    let value = input.value.as_deref().map(str::trim).filter(|value| !value.is_empty());
    let action = match input.kind.as_str() {
        "block" => Action::Block,
        "hold" => Action::Hold,
        "mark_as_spam" => Action::MarkAsSpam,
        "assign_to_folder" | FOLDER_ALIAS => return folder(&format!("{at}.value"), value.unwrap_or_default()),
        "mark_as_read" => Action::MarkAsRead,
        "mark_as_starred" => Action::MarkAsStarred,
        "archive" => Action::Archive,
        "trash" => Action::Trash,
        _ => {
            let field = format!("{at}.type");
            let text = format!(
                "{field} must be one of block, hold, mark_as_spam, assign_to_folder, mark_as_read, mark_as_starred, \
                 archive, trash"
            );
            return Err(Problem::invalid(&field, text));
        }
    };
    if value.is_some() {
        let field = format!("{at}.value");
        let text = format!("{field} must be absent: only assign_to_folder has a value");
        return Err(Problem::invalid(&field, text));
    }
    Ok(action)
}

fn folder(at: &str, folder: &str) -> Result<Action, Problem> {
    let length = folder.chars().count();
    if !(1..=FOLDER_CHARS_MAX).contains(&length) || folder.chars().any(char::is_control) {
        let text = format!(
            "{at} must be the id, name or path of a folder: 1 to {FOLDER_CHARS_MAX} characters, none of them a control \
             character"
        );
        return Err(Problem::invalid(at, text));
    }
    Ok(Action::AssignToFolder(folder.to_owned()))
}
