//! Pages of lists that are ordered by id: one more than asked for is read, and tells whether there is a next one. A
//! cursor says the last id of a page, never whose list it is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::Problem;
use std::fmt::Display;
use std::str::FromStr;

/// A page and where the next one starts.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts, if there is one.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The same page with its items in another form.
    pub fn map<U>(self, show: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(show).collect(), next_cursor: self.next_cursor }
    }
}

/// The id after which a page goes on, from the `page_token` of a request.
pub fn after<I: FromStr>(page_token: Option<&str>) -> Result<Option<I>, Problem> {
    let invalid = || Problem::invalid("page_token", "page_token is not a cursor of this list");
    let Some(token) = page_token.filter(|token| !token.is_empty()) else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    let text = std::str::from_utf8(&bytes).map_err(|_| invalid())?;
    text.parse().map(Some).map_err(|_| invalid())
}

/// The cursor of a page that goes on after an id.
pub fn cursor(id: &impl Display) -> String {
    URL_SAFE_NO_PAD.encode(id.to_string())
}

/// Cuts what was read with one more than `limit`.
pub fn cut<T, I: Display>(mut items: Vec<T>, limit: usize, id: impl Fn(&T) -> I) -> Page<T> {
    let has_more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| has_more);
    let next_cursor = last.map(|item| cursor(&id(item)));
    Page { items, next_cursor }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_core::id::KeyId;

    #[test]
    fn a_page_is_cut_and_goes_on_after_its_last_item() {
        let ids: Vec<KeyId> = (0..3).map(|number| KeyId::new(Default::default(), [number; 10])).collect();
        let page = cut(ids.clone(), 2, |id| *id);
        assert_eq!(page.items, ids[..2]);
        assert_eq!(after::<KeyId>(page.next_cursor.as_deref()).unwrap(), Some(ids[1]));
        assert!(cut(ids.clone(), 3, |id| *id).next_cursor.is_none());
        assert!(cut(Vec::<KeyId>::new(), 1, |id| *id).next_cursor.is_none());
        assert_eq!(after::<KeyId>(None).unwrap(), None);
        for bad in ["x", "%%", "AAAA", &URL_SAFE_NO_PAD.encode("no id")] {
            assert_eq!(after::<KeyId>(Some(bad)).unwrap_err().field.as_deref(), Some("page_token"), "{bad}");
        }
    }
}
