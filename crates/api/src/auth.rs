//! Who may ask: bearer tokens, and the rights that each gives.
//!
//! A token is either one of a file's, kept there as its hash, or a JWT that a configured key has signed. Whoever asks
//! with a good one is a [`Principal`] with [`Rights`]; what needs which right is `http::guard`'s and `permission`'s.

mod error;
mod jwt;
mod principal;
mod rights;
mod secret;
mod tokens;
mod watched;

use std::path::PathBuf;

use axum::http::{HeaderMap, header};

pub use error::AuthError;
pub use jwt::{JwtKey, JwtOptions};
pub use principal::Principal;
pub use rights::{Right, Rights};
pub use secret::Secret;
pub use tokens::NewToken;

use self::{jwt::Jwt, tokens::Tokens, watched::Watched};

/// Where tokens come from: one of the two at least, or nobody can ask.
#[derive(Debug, Clone, Default)]
pub struct AuthOptions {
    /// A file of hashed tokens: one per line, `NAME RIGHTS sha256:HEX`; see [`NewToken`].
    pub tokens_file: Option<PathBuf>,
    /// JSON Web Tokens.
    pub jwt: Option<JwtOptions>,
}

/// Knows good tokens from others. Its files are read again when they change, so that tokens and keys can be rotated
/// while it runs; a file that is gone or wrong then leaves in force what it said before, and the log says so.
#[derive(Debug)]
pub struct Auth {
    tokens: Option<Watched<Tokens>>,
    jwt: Option<Jwt>,
}

/// Why a request has no principal: what RFC 6750 calls an `invalid_token`, unless there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// It names no token.
    #[error("this needs a token: send the header Authorization: Bearer TOKEN")]
    Missing,
    /// What it names is no token that is known or signed by a known key.
    #[error("the token is not valid")]
    Invalid,
    /// It was valid.
    #[error("the token has expired")]
    Expired,
    /// It will be valid.
    #[error("the token is not valid yet")]
    NotYet,
}

impl Auth {
    /// Reads the files that the options name.
    ///
    /// # Errors
    /// When one cannot be read, or holds something else than it should: with its name and, where it has any, the line.
    pub fn open(options: AuthOptions) -> Result<Self, AuthError> {
        let tokens = options.tokens_file.map(|path| Watched::open(path, Tokens::parse)).transpose()?;
        let jwt = options.jwt.map(Jwt::open).transpose()?;
        Ok(Self { tokens, jwt })
    }

    /// Who sends these headers.
    pub(crate) fn principal(&self, headers: &HeaderMap) -> Result<Principal, Refused> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let header = given.next().ok_or(Refused::Missing)?;
        // Of two, a proxy before us may have looked at the other.
        if given.next().is_some() {
            return Err(Refused::Invalid);
        }
        let (scheme, token) = header.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(Refused::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refused::Missing);
        }
        let token = token.trim();
        if token.is_empty() {
            return Err(Refused::Missing);
        }
        if let Some(principal) = self.tokens.as_ref().and_then(|tokens| tokens.current().principal(token)) {
            return Ok(principal);
        }
        match &self.jwt {
            Some(jwt) => jwt.principal(token),
            None => Err(Refused::Invalid),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// What is told to whoever sends these headers, where the file has the hash of `abc` and that of nothing at all.
    fn told(headers: &[&'static str]) -> Result<String, Refused> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        let lines = "ci read sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n\
                     nothing admin sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";
        std::fs::write(&path, lines).unwrap();
        let auth = Auth::open(AuthOptions { tokens_file: Some(path), jwt: None }).unwrap();
        let headers = headers.iter().map(|header| (header::AUTHORIZATION, HeaderValue::from_static(header)));
        auth.principal(&headers.collect()).map(|principal| principal.name().to_owned())
    }

    #[test]
    fn a_request_names_one_token() {
        assert_eq!(told(&["Bearer abc"]), Ok("ci".to_owned()));
        assert_eq!(told(&[]), Err(Refused::Missing));
        for empty in ["Bearer", "Bearer ", "Bearer  "] {
            assert_eq!(told(&[empty]), Err(Refused::Missing), "{empty:?}");
        }
        for other in ["Bearer abc", "Bearer abd", "Basic abc"] {
            assert_eq!(told(&["Bearer abc", other]), Err(Refused::Invalid), "{other}");
            assert_eq!(told(&[other, "Bearer abc"]), Err(Refused::Invalid), "{other}");
        }
    }
}
