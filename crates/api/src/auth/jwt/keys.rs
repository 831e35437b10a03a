//! The keys that tokens are checked by, each for one algorithm.

use std::{collections::HashMap, path::Path};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use super::super::{AuthError, Secret};

/// The bytes of a point of P-256, uncompressed.
const P256_POINT_BYTES: usize = 65;

/// A key, with the algorithm that it is for.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) decoding: DecodingKey,
    pub(super) algorithm: Algorithm,
}

/// The keys of one source.
#[derive(Debug)]
pub(super) enum Keys {
    /// One, whatever a token calls it.
    Only(Key),
    /// Several, each with its `kid`.
    ById(HashMap<String, Key>),
}

impl Keys {
    /// The key that a token names.
    pub(super) fn of(&self, kid: Option<&str>) -> Option<&Key> {
        match self {
            Self::Only(key) => Some(key),
            Self::ById(keys) => keys.get(kid?),
        }
    }

    /// The secret itself.
    pub(super) fn of_secret(secret: &Secret) -> Self {
        Self::Only(Key { decoding: DecodingKey::from_secret(secret.as_bytes()), algorithm: Algorithm::HS256 })
    }

    /// A file with nothing but the secret.
    pub(super) fn of_secret_file(path: &Path, text: &[u8]) -> Result<Self, AuthError> {
        let wrong = |what: String| AuthError::Key { path: path.to_owned(), what };
        let text = std::str::from_utf8(text).map_err(|_| wrong("expected UTF-8".to_owned()))?;
        let secret: Secret = text.trim_end_matches(['\r', '\n']).parse().map_err(|error| wrong(format!("{error}")))?;
        Ok(Self::of_secret(&secret))
    }

    /// A file with a public key: of RSA for RS256, of P-256 for ES256.
    pub(super) fn of_pem(path: &Path, text: &[u8]) -> Result<Self, AuthError> {
        let wrong = |what: &str| AuthError::Key { path: path.to_owned(), what: what.to_owned() };
        let has = |label: &str| text.windows(label.len()).any(|window| window == label.as_bytes());
        if has("PRIVATE KEY-----") {
            return Err(wrong(
                "this is a private key, which belongs to whoever issues tokens: expected its public one",
            ));
        }
        if has("BEGIN CERTIFICATE-----") {
            return Err(wrong("expected a public key, not a certificate: openssl x509 -pubkey -noout takes it out"));
        }
        if let Ok(decoding) = DecodingKey::from_ec_pem(text) {
            return match decoding.try_get_as_bytes() {
                Ok(point) if point.len() == P256_POINT_BYTES => {
                    Ok(Self::Only(Key { decoding, algorithm: Algorithm::ES256 }))
                }
                _ => Err(wrong("expected a key of the curve P-256, for ES256")),
            };
        }
        let decoding = DecodingKey::from_rsa_pem(text)
            .map_err(|_| wrong("expected a public key in PEM, of RSA for RS256 or of P-256 for ES256"))?;
        Ok(Self::Only(Key { decoding, algorithm: Algorithm::RS256 }))
    }

    /// A file with a JWK set. What is in it for other purposes is passed over.
    pub(super) fn of_jwks(path: &Path, text: &[u8]) -> Result<Self, AuthError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let wrong = |what: String| AuthError::Key { path: path.to_owned(), what };
        let set: Set = serde_json::from_slice(text).map_err(|error| wrong(format!("expected a JWK set: {error}")))?;
        let all = set.keys.len();
        let keys: HashMap<_, _> = set.keys.into_iter().filter_map(of_jwk).collect();
        if keys.is_empty() {
            return Err(wrong(format!(
                "none of its {all} keys has a kid and is for RS256 (RSA), ES256 (P-256) or HS256 (oct, 32 bytes at least)"
            )));
        }
        Ok(Self::ById(keys))
    }
}

/// The key that a JWK is, with its id, if it can be used here.
fn of_jwk(jwk: Value) -> Option<(String, Key)> {
    let jwk: Jwk = serde_json::from_value(jwk).ok()?;
    let id = jwk.common.key_id.clone()?;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKey(_) => Algorithm::HS256,
        _ => return None,
    };
    let is_for_signing = jwk.common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
    let is_for_it = jwk.common.key_algorithm.is_none_or(|of| of == KeyAlgorithm::from(algorithm));
    let decoding = DecodingKey::from_jwk(&jwk).ok().filter(|_| is_for_signing && is_for_it)?;
    let is_weak = algorithm == Algorithm::HS256
        && decoding.try_get_as_bytes().is_ok_and(|secret| secret.len() < Secret::LEAST_BYTES);
    (!is_weak).then_some((id, Key { decoding, algorithm }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn jwks(keys: Value) -> Result<Vec<(String, Algorithm)>, String> {
        let text = json!({ "keys": keys }).to_string();
        let keys = Keys::of_jwks(Path::new("jwks.json"), text.as_bytes()).map_err(|error| error.to_string())?;
        let Keys::ById(keys) = keys else { panic!("a set is by id") };
        let mut found: Vec<_> = keys.into_iter().map(|(id, key)| (id, key.algorithm)).collect();
        found.sort_by(|left, right| left.0.cmp(&right.0));
        Ok(found)
    }

    #[test]
    fn each_key_of_a_set_is_for_its_own_algorithm() {
        let number = "A".repeat(43);
        let ec = |more: Value| {
            let mut key = json!({ "kty": "EC", "crv": "P-256", "x": number, "y": number });
            key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            key
        };
        let found = jwks(json!([
            { "kty": "RSA", "kid": "rsa", "n": "AQAB", "e": "AQAB", "alg": "RS256", "use": "sig" },
            { "kty": "oct", "kid": "secret", "k": number },
            ec(json!({ "kid": "ec" })),
            // Of no use here.
            ec(json!({})),
            ec(json!({ "kid": "p-384", "crv": "P-384" })),
            ec(json!({ "kid": "encrypts", "use": "enc" })),
            { "kty": "RSA", "kid": "other", "n": "AQAB", "e": "AQAB", "alg": "RS512" },
            { "kty": "RSA", "kid": "unknown", "n": "AQAB", "e": "AQAB", "alg": "XX1" },
            { "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": number },
            { "kty": "oct", "kid": "weak", "k": "AQAB" },
            { "kty": "new", "kid": "new" },
        ]));
        let expected = [("ec", Algorithm::ES256), ("rsa", Algorithm::RS256), ("secret", Algorithm::HS256)];
        assert_eq!(found.unwrap(), expected.map(|(id, algorithm)| (id.to_owned(), algorithm)));
    }

    #[test]
    fn what_is_no_key_says_what_was_expected() {
        let shown = |keys: Result<Keys, AuthError>| keys.err().map(|error| error.to_string()).unwrap_or_default();
        let path = Path::new("key");
        assert!(jwks(json!([])).unwrap_err().starts_with("jwks.json: none of its 0 keys has a kid"));
        assert!(shown(Keys::of_jwks(path, b"{}")).starts_with("key: expected a JWK set: missing field `keys`"));
        assert_eq!(
            shown(Keys::of_secret_file(path, b"short\n")),
            "key: expected a secret of at least 32 bytes, found 5"
        );
        assert!(shown(Keys::of_pem(path, b"-----BEGIN PRIVATE KEY-----")).contains("this is a private key"));
        assert!(shown(Keys::of_pem(path, b"-----BEGIN CERTIFICATE-----")).contains("not a certificate"));
        assert!(shown(Keys::of_pem(path, b"hello")).contains("expected a public key in PEM"));
    }
}
