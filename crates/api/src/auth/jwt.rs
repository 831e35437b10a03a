//! JSON Web Tokens (<https://www.rfc-editor.org/rfc/rfc7519>), signed with HS256, RS256 or ES256.
//!
//! The key decides which algorithm a token must be signed with, never the token: one that names another is refused,
//! `none` above all, and a public key is never taken for the secret of an HMAC.

mod keys;

use std::path::PathBuf;

use jsonwebtoken::{
    Algorithm, Validation, decode, decode_header,
    errors::{Error, ErrorKind},
};
use serde_json::{Map, Value};

use self::keys::Keys;
use super::{AuthError, Principal, Refused, Rights, Secret, Watched};

/// How far apart the clocks may be, in seconds, of whoever issues tokens and ours.
const LEEWAY_S: u64 = 30;

/// Which JSON Web Tokens are good, and where they say what they allow.
///
/// Beside what is set here, a token must have `exp` and `sub`, the name of who asks, in at most 256 bytes; `nbf` counts where it is there.
#[derive(Debug, Clone)]
pub struct JwtOptions {
    /// What they are signed with.
    pub key: JwtKey,
    /// Who must have issued them (`iss`).
    pub issuer: Option<String>,
    /// Whom they must be meant for (`aud`). If it is not set, tokens that are meant for somebody are refused.
    pub audience: Option<String>,
    /// The claim with the rights: a text of words, or an array of them; other words in it mean nothing.
    pub rights_claim: String,
}

impl JwtOptions {
    /// The claim with the rights, if no other is set: one of our own, since a word like `admin` in a claim that others
    /// use may have been granted for something else.
    pub const RIGHTS_CLAIM: &str = "deltafold";
}

/// What tokens are signed with.
#[derive(Debug, Clone)]
pub enum JwtKey {
    /// HS256, with this secret.
    Secret(Secret),
    /// HS256, with the secret in a file; a line's end after it does not count.
    SecretFile(PathBuf),
    /// RS256 or ES256, by the public key in a PEM file.
    PublicKeyFile(PathBuf),
    /// The keys of a JWK set (<https://www.rfc-editor.org/rfc/rfc7517>), each for its own algorithm, by `kid`.
    JwksFile(PathBuf),
}

/// Knows good tokens from others.
#[derive(Debug)]
pub(crate) struct Jwt {
    keys: Source,
    /// What must hold of tokens that are signed with each algorithm.
    validations: [(Algorithm, Validation); 3],
    /// Whether there is somebody that tokens must be meant for.
    has_audience: bool,
    rights_claim: String,
}

#[derive(Debug)]
enum Source {
    Given(Keys),
    File(Watched<Keys>),
}

impl Jwt {
    /// Reads the keys.
    pub(crate) fn open(options: JwtOptions) -> Result<Self, AuthError> {
        let keys = match &options.key {
            JwtKey::Secret(secret) => Source::Given(Keys::of_secret(secret)),
            JwtKey::SecretFile(path) => Source::File(Watched::open(path.clone(), Keys::of_secret_file)?),
            JwtKey::PublicKeyFile(path) => Source::File(Watched::open(path.clone(), Keys::of_pem)?),
            JwtKey::JwksFile(path) => Source::File(Watched::open(path.clone(), Keys::of_jwks)?),
        };
        let validations = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256]
            .map(|algorithm| (algorithm, validation(algorithm, &options)));
        Ok(Self { keys, validations, has_audience: options.audience.is_some(), rights_claim: options.rights_claim })
    }

    /// Who has this token.
    pub(crate) fn principal(&self, token: &str) -> Result<Principal, Refused> {
        let found = match &self.keys {
            Source::Given(keys) => self.verified(keys, token),
            Source::File(file) => self.verified(&file.current(), token),
        };
        found.map_err(|error| {
            tracing::debug!(%error, "a token is refused");
            match error.kind() {
                ErrorKind::ExpiredSignature => Refused::Expired,
                ErrorKind::ImmatureSignature => Refused::NotYet,
                _ => Refused::Invalid,
            }
        })
    }

    fn verified(&self, keys: &Keys, token: &str) -> Result<Principal, Error> {
        let header = decode_header(token)?;
        // What must be understood: we know no extension (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(ErrorKind::InvalidToken.into());
        }
        let key = keys.of(header.kid.as_deref()).ok_or(ErrorKind::InvalidToken)?;
        let known = self.validations.iter().find(|(algorithm, _)| *algorithm == key.algorithm);
        let (_, validation) = known.ok_or(ErrorKind::InvalidAlgorithm)?;
        let claims = decode::<Map<String, Value>>(token, &key.decoding, validation)?.claims;
        // The validation passes an `aud` over that it cannot read.
        if !self.has_audience && claims.contains_key("aud") {
            return Err(ErrorKind::InvalidAudience.into());
        }
        let name = claims.get("sub").and_then(Value::as_str).ok_or(ErrorKind::InvalidSubject)?;
        let rights = match claims.get(&self.rights_claim) {
            Some(Value::String(words)) => Rights::among(words.split_whitespace()),
            Some(Value::Array(words)) => Rights::among(words.iter().filter_map(Value::as_str)),
            _ => Rights::NONE,
        };
        Principal::with_token(name, rights).ok_or_else(|| ErrorKind::InvalidSubject.into())
    }
}

fn validation(algorithm: Algorithm, options: &JwtOptions) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY_S;
    validation.validate_nbf = true;
    let mut required = vec!["exp", "sub"];
    if let Some(issuer) = &options.issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    if let Some(audience) = &options.audience {
        validation.set_audience(&[audience]);
        required.push("aud");
    }
    validation.set_required_spec_claims(&required);
    validation
}
