//! Conditions and actions of a rule as the store keeps them: JSON in the shape of the interface.

use crate::db::DbError;
use postfleet_core::id::ListId;
use postfleet_core::rule::{Action, Condition, Field, Operand, Operator};
use serde_json::{Value, json};

/// `[{"field", "operator", "value"}, …]`: the value is a text, or the ids of lists.
pub(crate) fn write_conditions(conditions: &[Condition]) -> String {
    let write = |condition: &Condition| {
        let value = match &condition.operand {
            Operand::Text(text) => json!(text),
            Operand::Lists(lists) => lists.iter().map(ListId::to_string).collect(),
        };
        json!({"field": condition.field.name(), "operator": condition.operator.name(), "value": value})
    };
    conditions.iter().map(write).collect::<Value>().to_string()
}

/// What [`write_conditions`] wrote.
pub(crate) fn read_conditions(text: &str) -> Result<Vec<Condition>, DbError> {
    list_of(text)?.iter().map(read_condition).collect::<Option<_>>().ok_or(DbError::Malformed("conditions"))
}

fn read_condition(value: &Value) -> Option<Condition> {
    let operand = match &value["value"] {
        Value::Array(ids) => {
            Operand::Lists(ids.iter().map(|id| id.as_str()?.parse().ok()).collect::<Option<Vec<ListId>>>()?)
        }
        value => Operand::Text(value.as_str()?.to_owned()),
    };
    let field = Field::named(value["field"].as_str()?)?;
    Some(Condition { field, operator: Operator::named(value["operator"].as_str()?)?, operand })
}

/// `[{"type", "value"?}, …]`.
pub(crate) fn write_actions(actions: &[Action]) -> String {
    let write = |action: &Action| match action {
        Action::AssignToFolder(folder) => json!({"type": action.name(), "value": folder}),
        _ => json!({"type": action.name()}),
    };
    actions.iter().map(write).collect::<Value>().to_string()
}

/// What [`write_actions`] wrote.
pub(crate) fn read_actions(text: &str) -> Result<Vec<Action>, DbError> {
    list_of(text)?.iter().map(read_action).collect::<Option<_>>().ok_or(DbError::Malformed("actions"))
}

fn read_action(value: &Value) -> Option<Action> {
    Some(match value["type"].as_str()? {
        "block" => Action::Block,
        "hold" => Action::Hold,
        "mark_as_spam" => Action::MarkAsSpam,
        "assign_to_folder" => Action::AssignToFolder(value["value"].as_str()?.to_owned()),
        "mark_as_read" => Action::MarkAsRead,
        "mark_as_starred" => Action::MarkAsStarred,
        "archive" => Action::Archive,
        "trash" => Action::Trash,
        _ => return None,
    })
}

fn list_of(text: &str) -> Result<Vec<Value>, DbError> {
    serde_json::from_str(text).map_err(|_| DbError::Malformed("rule"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_core::UnixMicros;

    #[test]
    fn what_is_written_is_read() {
        let list = ListId::new(UnixMicros::from_micros(1), [7; 10]);
        let condition = |field, operator, operand| Condition { field, operator, operand };
        let conditions = [
            condition(Field::FromDomain, Operator::Contains, Operand::Text("é\"x".into())),
            condition(Field::RecipientTld, Operator::InList, Operand::Lists(vec![list])),
        ];
        assert_eq!(read_conditions(&write_conditions(&conditions)).unwrap(), conditions);
        let actions = [
            Action::Block,
            Action::Hold,
            Action::MarkAsSpam,
            Action::AssignToFolder("Clients/Acme".into()),
            Action::MarkAsRead,
            Action::MarkAsStarred,
            Action::Archive,
            Action::Trash,
        ];
        assert_eq!(read_actions(&write_actions(&actions)).unwrap(), actions);
    }

    #[test]
    fn what_is_not_a_rule_is_no_rule() {
        for text in ["", "{}", "[{}]", r#"[{"field":"x","operator":"is","value":"a"}]"#] {
            assert!(read_conditions(text).is_err(), "{text}");
        }
        for text in ["[{}]", r#"[{"type":"x"}]"#, r#"[{"type":"assign_to_folder"}]"#] {
            assert!(read_actions(text).is_err(), "{text}");
        }
    }
}
