//! Where sign-in may lead back to: which URIs are taken for which platform.
//!
//! Sign-in compares a URI with the registered one octet by octet, so nothing is normalized here.

/// Characters of a redirect URI.
pub const URL_CHARS_MAX: usize = 2_048;

/// A kind of program that signs people in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Platform {
    /// A server that shows pages.
    Web,
    /// A page that signs in by itself.
    Js,
    /// A program for iOS.
    Ios,
    /// A program for Android.
    Android,
    /// A program for desktops and terminals.
    Desktop,
}

impl Platform {
    /// All, in the order in which they are listed.
    pub const ALL: &[Self] = &[Self::Web, Self::Js, Self::Ios, Self::Android, Self::Desktop];

    /// The word on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Js => "js",
            Self::Ios => "ios",
            Self::Android => "android",
            Self::Desktop => "desktop",
        }
    }

    /// The platform of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|platform| platform.name() == name)
    }

    /// Whether its programs may register a scheme of their own with the device (RFC 8252 §7.1).
    const fn has_own_schemes(self) -> bool {
        matches!(self, Self::Ios | Self::Android | Self::Desktop)
    }
}

/// Why a URI is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RedirectUriError {
    /// It is over the limit.
    #[error("longer than {URL_CHARS_MAX} characters")]
    TooLong,
    /// It has a character that a URI cannot have.
    #[error("a URI has no spaces, control characters or characters outside ASCII: write them as %XX")]
    Character,
    /// It names no scheme and place.
    #[error("not an absolute URI")]
    NotAbsolute,
    /// Codes are put behind it, which would then stay in the browser (RFC 6749 §3.1.2).
    #[error("must not have a fragment")]
    Fragment,
    /// It could be mistaken for the address of another host.
    #[error("must not have a user name or password")]
    UserInfo,
    /// The scheme runs or shows something instead of leading anywhere.
    #[error("has a scheme that leads nowhere")]
    Scheme,
    /// Only programs on a device have schemes of their own.
    #[error("must be https or http on the platforms web and js")]
    OwnScheme,
}

/// Schemes that a browser would carry out or read from the disk.
const REFUSED_SCHEMES: &[&str] = &["javascript", "data", "vbscript", "file", "blob", "about", "ftp", "ws", "wss"];

/// Checks a URI for a platform: absolute, `https` or `http`, or a scheme of their own for programs on a device.
pub fn check(url: &str, platform: Platform) -> Result<(), RedirectUriError> {
    if url.len() > URL_CHARS_MAX {
        return Err(RedirectUriError::TooLong);
    }
    let is_bad = |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{');
    if url.bytes().any(is_bad) || url.contains(['|', '}']) {
        return Err(RedirectUriError::Character);
    }
    if url.contains('#') {
        return Err(RedirectUriError::Fragment);
    }
    let (scheme, rest) = url.split_once(':').ok_or(RedirectUriError::NotAbsolute)?;
    let mut letters = scheme.bytes();
    let is_scheme = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme || rest.is_empty() {
        return Err(RedirectUriError::NotAbsolute);
    }
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "http" | "https" => check_host(rest),
        refused if REFUSED_SCHEMES.contains(&refused) => Err(RedirectUriError::Scheme),
        _ if platform.has_own_schemes() => Ok(()),
        _ => Err(RedirectUriError::OwnScheme),
    }
}

/// What follows `http:`: two slashes and a host, perhaps a port.
fn check_host(rest: &str) -> Result<(), RedirectUriError> {
    let place = rest.strip_prefix("//").ok_or(RedirectUriError::NotAbsolute)?;
    let authority = place.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(RedirectUriError::UserInfo);
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let is_digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let is_port = port.is_empty() || (is_digits && port.parse::<u16>().is_ok_and(|port| port > 0));
    let is_bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    let is_host = is_bracketed || (!host.is_empty() && !host.contains([':', '[', ']', '%']));
    if is_port && is_host { Ok(()) } else { Err(RedirectUriError::NotAbsolute) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RedirectUriError::{Character, Fragment, NotAbsolute, OwnScheme, Scheme, TooLong, UserInfo};

    #[test]
    fn web_programs_are_led_back_to_hosts() {
        for url in [
            "https://app.example.com/callback?a=b",
            "http://localhost:9007/callback",
            "http://127.0.0.1",
            "http://[::1]:8080/",
            "HTTPS://example.com",
        ] {
            assert_eq!(check(url, Platform::Web), Ok(()), "{url}");
        }
        for (url, error) in [
            ("", NotAbsolute),
            ("/callback", NotAbsolute),
            ("example.com", NotAbsolute),
            ("https:", NotAbsolute),
            ("https://", NotAbsolute),
            ("https:///path", NotAbsolute),
            ("https://?q", NotAbsolute),
            ("https:example.com", NotAbsolute),
            ("https://host:0/", NotAbsolute),
            ("https://host:65536/", NotAbsolute),
            ("https://host:+80/", NotAbsolute),
            ("https://a:b:1/", NotAbsolute),
            ("https://[]/", NotAbsolute),
            ("1https://host/", NotAbsolute),
            ("https://host/#part", Fragment),
            ("https://user@host/", UserInfo),
            ("https://host@evil.example/", UserInfo),
            ("https://host/a b", Character),
            ("https://host/\r\nx", Character),
            ("https://höst/", Character),
            ("https://host\\@evil.example/", Character),
            ("javascript:alert(1)", Scheme),
            ("JavaScript:alert(1)", Scheme),
            ("data:text/html,x", Scheme),
            ("file:///etc/passwd", Scheme),
            ("com.example.app:/callback", OwnScheme),
        ] {
            assert_eq!(check(url, Platform::Web), Err(error), "{url}");
        }
    }

    #[test]
    fn programs_on_a_device_have_schemes_of_their_own() {
        for platform in Platform::ALL {
            let expected = if platform.has_own_schemes() { Ok(()) } else { Err(OwnScheme) };
            assert_eq!(check("com.example.app:/callback", *platform), expected);
            assert_eq!(check("javascript:alert(1)", *platform), Err(Scheme));
            assert_eq!(Platform::named(platform.name()), Some(*platform));
        }
        assert_eq!(Platform::named("WEB"), None);
    }

    #[test]
    fn the_longest_uri_is_taken_and_one_longer_is_not() {
        let longest = format!("https://host/{}", "x".repeat(URL_CHARS_MAX - 13));
        assert_eq!(check(&longest, Platform::Web), Ok(()));
        assert_eq!(check(&format!("{longest}x"), Platform::Web), Err(TooLong));
    }
}
