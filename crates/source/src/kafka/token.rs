//! OAuth tokens (RFC 7519) from a file that somebody keeps fresh.

use std::{fs, io, path::Path};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rdkafka::client::OAuthToken;
use serde::Deserialize;

/// Why a file holds no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("cannot read the token in {file}: {error}")]
    Read { file: String, error: io::Error },
    #[error("{file} holds no JSON web token with a time of expiry")]
    NotAToken { file: String },
}

/// The claims that librdkafka wants to know; whether the token is good is for the broker to say.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: i64,
}

pub(crate) fn read(file: &Path) -> Result<OAuthToken, TokenError> {
    let shown = || file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| TokenError::Read { file: shown(), error })?;
    let token = text.trim();
    let claims = token
        .split('.')
        .nth(1)
        .and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok())
        .and_then(|json| serde_json::from_slice::<Claims>(&json).ok())
        .ok_or_else(|| TokenError::NotAToken { file: shown() })?;
    Ok(OAuthToken {
        token: token.to_owned(),
        principal_name: claims.sub.unwrap_or_default(),
        lifetime_ms: claims.exp.saturating_mul(1000),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_whose_it_is_and_how_long_it_holds() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let claims = BASE64_URL_SAFE_NO_PAD.encode(r#"{"sub":"deltafold","exp":1790582400}"#);
        fs::write(&file, format!("e30.{claims}.c2ln\n")).unwrap();
        let token = read(&file).unwrap();
        assert_eq!((token.principal_name.as_str(), token.lifetime_ms), ("deltafold", 1_790_582_400_000));
        assert_eq!(token.token, format!("e30.{claims}.c2ln"));
        fs::write(&file, "no token").unwrap();
        assert!(read(&file).err().unwrap().to_string().contains("holds no JSON web token"));
        assert!(read(&directory.path().join("none")).err().unwrap().to_string().contains("cannot read the token"));
    }
}
