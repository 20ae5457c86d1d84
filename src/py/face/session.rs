//! The session cookie of a request, as far as the server looks at it: whether the session has to be saved though no
//! view touched it. What the session is, the application's session interface says.

use super::state::RequestState;
use crate::http::base64url;

impl RequestState {
    /// Whether the request carries a session that has to be saved though nobody touched it: a permanent one lives on
    /// from its last use. Says yes where it cannot tell; that the cookie may be forged does not matter for a no.
    pub(super) fn may_refresh_session(&self) -> bool {
        let Some(text) = self.session_cookie() else {
            return false;
        };
        let Some(end) = memchr::memchr(b'.', text).filter(|end| *end > 0) else {
            // Compressed, or nothing that was signed; an empty cookie is no session.
            return !text.is_empty();
        };
        let mut content = Vec::with_capacity(end);
        if !self.app.session_is_json || base64url::decode(&text[..end], &mut content).is_none() {
            return true;
        }
        let find = |needle: &[u8]| memchr::memmem::find(&content, needle).is_some();
        find(b"_permanent") || find(b"\\u")
    }

    /// The value of the session cookie as it was sent; the first one's if there are several.
    pub(super) fn session_cookie(&self) -> Option<&[u8]> {
        let name = self.app.session_cookie.as_deref()?;
        // RFC 6265 5.4 has one Cookie field; clients that send several are read as if they had not.
        self.request
            .fields()
            .filter(|(field, _)| field.eq_ignore_ascii_case(b"cookie"))
            .flat_map(|(_, value)| value.split(|b| *b == b';'))
            .find_map(|pair| {
                let pair = pair.trim_ascii_start();
                let value = pair.strip_prefix(name)?.trim_ascii_start();
                value.strip_prefix(b"=").map(<[u8]>::trim_ascii)
            })
    }
}
