//! Many grants in one request. Each is judged by itself, and so each of its fields may be of any kind at first: one
//! that is wrong must not spoil the whole body.

use crate::grant::Grant;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::marker::PhantomData;
use utoipa::ToSchema;

/// `POST /v3/grants/bulk`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateGrants {
    /// The mailboxes: 1 to 1,000.
    #[schema(value_type = Vec<BulkGrant>, min_items = 1, max_items = 1000)]
    pub grants: Vec<Loose<BulkGrant>>,
}

/// One mailbox in a request for many.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct BulkGrant {
    /// The display name of what the mailbox sends: 1 to 256 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    pub name: LooseText,
    /// The id of the workspace whose policy is to govern the mailbox; chosen as for a single one if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub workspace_id: LooseText,
    /// The address.
    #[serde(default)]
    #[schema(value_type = BulkGrantSettings)]
    pub settings: Loose<BulkGrantSettings>,
    /// Text that the mailbox shows again: at most 2,048 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 2048)]
    pub state: LooseText,
}

/// The `settings` of one mailbox in a request for many. A password for mail clients is refused here: hashing a thousand
/// of them takes a minute. Give it with a `PATCH` of the mailbox that needs one.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct BulkGrantSettings {
    /// The address, on a domain that is registered for the organization.
    #[serde(default)]
    #[schema(value_type = String)]
    pub email: LooseText,
    /// Refused.
    #[serde(default)]
    #[schema(ignore)]
    pub app_password: LooseText,
}

/// What became of a request for many mailboxes.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkAnswer {
    /// How many were made.
    pub created: usize,
    /// How many were there already.
    pub existing: usize,
    /// How many were refused.
    pub failed: usize,
    /// One for each mailbox of the request, in its order.
    pub results: Vec<BulkResult>,
}

/// What became of one mailbox of a request for many.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkResult {
    /// Its place in the request, from 0.
    pub index: usize,
    /// `created`, `existing` or `failed`.
    pub status: &'static str,
    /// The mailbox; null if it was refused.
    pub grant: Option<Grant>,
    /// Why it was refused; null if it was not.
    pub error: Option<BulkError>,
}

/// Why one mailbox of a request for many was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkError {
    /// The kind of problem, as in other errors.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// For people.
    pub message: String,
    /// A stable word for programs.
    pub code: &'static str,
    /// The field of that mailbox that is wrong; null if no single one is.
    pub field: Option<String>,
}

/// An object, or something that is none.
#[derive(Debug, Default)]
pub enum Loose<T> {
    /// Nothing, or null.
    #[default]
    Absent,
    /// An object.
    Object(T),
    /// Something else.
    Wrong,
}

/// Text, or something that is none.
#[derive(Debug, Default)]
pub enum LooseText {
    /// Nothing, or null.
    #[default]
    Absent,
    /// Text.
    Text(String),
    /// Something else.
    Wrong,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Loose<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for LooseText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

/// What is neither text nor an object is passed over.
macro_rules! pass_over {
    () => {
        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("anything")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::Absent)
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Self::Value::Wrong)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Self::Value::Wrong)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Self::Value::Wrong)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Self::Value::Wrong)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Self::Value::Wrong)
        }
    };
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Loose<T>;

    pass_over!();

    fn visit_str<E>(self, _: &str) -> Result<Loose<T>, E> {
        Ok(Loose::Wrong)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Loose<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(object)).map(Loose::Object)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = LooseText;

    pass_over!();

    fn visit_str<E>(self, text: &str) -> Result<LooseText, E> {
        Ok(LooseText::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<LooseText, E> {
        Ok(LooseText::Text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<LooseText, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(LooseText::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_spoils_only_its_own_place() {
        let text = r#"{"grants": [null, 1, "x", [1, {"a": 2}], true, 1.5, -3, {},
            {"name": {"a": [1]}, "workspace_id": 7, "settings": "x", "state": ["x"], "more": {"a": 1}},
            {"name": "N", "state": null, "settings": {"email": "a@b.test", "app_password": 1, "more": []}}]}"#;
        let grants = serde_json::from_str::<CreateGrants>(text).unwrap().grants;
        assert!(matches!(grants[0], Loose::Absent));
        assert!(grants[1..7].iter().all(|grant| matches!(grant, Loose::Wrong)));
        let Loose::Object(empty) = &grants[7] else { panic!("no object") };
        assert!(matches!((&empty.name, &empty.settings), (LooseText::Absent, Loose::Absent)));
        let Loose::Object(wrong) = &grants[8] else { panic!("no object") };
        assert!([&wrong.name, &wrong.workspace_id, &wrong.state].iter().all(|text| matches!(text, LooseText::Wrong)));
        assert!(matches!(wrong.settings, Loose::Wrong));
        let Loose::Object(good) = &grants[9] else { panic!("no object") };
        assert!(matches!(&good.name, LooseText::Text(name) if name == "N"));
        assert!(matches!(good.state, LooseText::Absent));
        let Loose::Object(settings) = &good.settings else { panic!("no object") };
        assert!(matches!(&settings.email, LooseText::Text(email) if email == "a@b.test"));
        assert!(matches!(settings.app_password, LooseText::Wrong));
        assert!(serde_json::from_str::<CreateGrants>(r#"{"grants": {}}"#).is_err());
        assert!(serde_json::from_str::<CreateGrants>("{}").is_err());
    }
}
