//! What the body of a PATCH says about one field: absent, null and a value are three things.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One field of a partial update.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Patch<T> {
    /// The field is absent: what is there stays.
    #[default]
    Keep,
    /// The field is null: what is there goes.
    Clear,
    /// The field has a value: it takes the place of what is there.
    Set(T),
}

impl<T> Patch<T> {
    /// What is there after the update.
    pub fn apply(self, current: Option<T>) -> Option<T> {
        match self {
            Self::Keep => current,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    /// Whether the update says nothing about the field.
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The new value, if the update has one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// Reads the value, if there is one, as something else.
    pub fn try_map<U, E>(self, read: impl FnOnce(T) -> Result<U, E>) -> Result<Patch<U>, E> {
        Ok(match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(read(value)?),
        })
    }
}

/// Fields of this type must carry `#[serde(default)]`: an absent field is never asked for.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

/// What is absent is written as null, since it cannot be left out here.
impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        field: Patch<String>,
    }

    #[test]
    fn absent_null_and_empty_are_three_things() {
        let read = |text: &str| serde_json::from_str::<Body>(text).unwrap().field;
        assert_eq!(read("{}"), Patch::Keep);
        assert_eq!(read(r#"{"field": null}"#), Patch::Clear);
        assert_eq!(read(r#"{"field": ""}"#), Patch::Set(String::new()));
        assert_eq!(read("{}").apply(Some("old".into())), Some("old".into()));
        assert_eq!(read(r#"{"field": null}"#).apply(Some("old".into())), None);
        assert_eq!(read(r#"{"field": "new"}"#).apply(None), Some("new".into()));
    }
}
