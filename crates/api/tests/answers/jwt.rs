//! Who may ask, by JSON Web Tokens: which are taken, and which are not.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize, PublicKey as RsaPublicKey},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding,
        RsaPublicKeyComponents,
    },
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use deltafold_api::{Auth, AuthOptions, HttpOptions, JwtKey, JwtOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{JSON, Server, status};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "shop";
const SECRET: &str = "a secret of more than thirty-two bytes";

/// Whoever issues tokens.
struct Issuer {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
}

impl Issuer {
    fn new() -> Self {
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        }
    }

    fn rsa_with(&self, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        self.rsa.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }

    fn rs256(&self, message: &[u8]) -> Vec<u8> {
        self.rsa_with(&RSA_PKCS1_SHA256, message)
    }

    fn es256(&self, message: &[u8]) -> Vec<u8> {
        self.ec.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    fn rsa_pem(&self) -> String {
        pem(AsDer::<PublicKeyX509Der<'_>>::as_der(self.rsa.public_key()).unwrap().as_ref())
    }

    fn ec_pem(&self) -> String {
        pem(AsDer::<PublicKeyX509Der<'_>>::as_der(self.ec.public_key()).unwrap().as_ref())
    }

    fn jwks(&self) -> Value {
        let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let public: &RsaPublicKey = self.rsa.public_key();
        let rsa = RsaPublicKeyComponents::<Vec<u8>>::from(public);
        let point = self.ec.public_key().as_ref();
        json!({ "keys": [
            { "kty": "RSA", "kid": "rsa-1", "use": "sig", "alg": "RS256", "n": part(&rsa.n), "e": part(&rsa.e) },
            { "kty": "EC", "kid": "ec-1", "crv": "P-256", "x": part(&point[1..33]), "y": part(&point[33..]) },
        ] })
    }
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(der))
}

fn hs256(secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    move |message| hmac::sign(&key, message).as_ref().to_vec()
}

fn jwt(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// Claims that are in order, but for these: null takes one away.
fn claims(but: Value) -> Value {
    let mut claims = json!({
        "sub": "ci", "iss": ISSUER, "aud": AUDIENCE, "exp": now() + 300, "nbf": now() - 300, "deltafold": "read",
    });
    for (name, value) in but.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

/// A server that takes tokens which this key has signed.
struct Taking {
    server: Server,
    _dir: TempDir,
}

impl Taking {
    async fn file(text: &str, key: fn(PathBuf) -> JwtKey) -> Self {
        Self::with(text, key, |_| {}).await
    }

    async fn with(text: &str, key: fn(PathBuf) -> JwtKey, set: impl FnOnce(&mut JwtOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, text).unwrap();
        let mut options = JwtOptions {
            key: key(path),
            issuer: Some(ISSUER.to_owned()),
            audience: Some(AUDIENCE.to_owned()),
            rights_claim: JwtOptions::RIGHTS_CLAIM.to_owned(),
        };
        set(&mut options);
        let auth = Auth::open(AuthOptions { tokens_file: None, jwt: Some(options) }).unwrap();
        let options = HttpOptions { auth: Some(Arc::new(auth)), ..HttpOptions::default() };
        Self { server: Server::start(options).await, _dir: dir }
    }

    /// What a request with this token is answered with.
    async fn response(&self, token: &str) -> String {
        self.server.send("GET /readyz", &[("authorization", &format!("Bearer {token}"))], "").await
    }

    async fn status(&self, token: &str) -> u16 {
        status(&self.response(token).await).parse().unwrap()
    }
}

#[tokio::test]
async fn each_kind_of_key_takes_what_it_has_signed_and_nothing_else() {
    let issuer = Issuer::new();
    let (rs256, es256) = (|message: &[u8]| issuer.rs256(message), |message: &[u8]| issuer.es256(message));
    let hs256 = hs256(SECRET.as_bytes());
    let good = claims(json!({}));
    let of_rsa = jwt(&json!({ "alg": "RS256" }), &good, rs256);
    let of_ec = jwt(&json!({ "alg": "ES256", "typ": "JWT" }), &good, es256);
    let of_secret = jwt(&json!({ "alg": "HS256" }), &good, &hs256);
    let given: fn(PathBuf) -> JwtKey = |_| JwtKey::Secret(SECRET.parse().unwrap());
    let servers = [
        (Taking::file(&issuer.rsa_pem(), JwtKey::PublicKeyFile).await, &of_rsa),
        (Taking::file(&issuer.ec_pem(), JwtKey::PublicKeyFile).await, &of_ec),
        (Taking::file(&format!("{SECRET}\n"), JwtKey::SecretFile).await, &of_secret),
        (Taking::file("", given).await, &of_secret),
    ];
    for (taking, its) in &servers {
        for token in [&of_rsa, &of_ec, &of_secret] {
            assert_eq!(taking.status(token).await, if token == *its { 200 } else { 401 }, "{token}");
        }
    }
}

#[tokio::test]
async fn what_is_not_in_order_is_refused() {
    let issuer = Issuer::new();
    let taking = Taking::file(&issuer.rsa_pem(), JwtKey::PublicKeyFile).await;
    let rs256 = |message: &[u8]| issuer.rs256(message);
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let with = |but: Value| jwt(&header, &claims(but), rs256);
    assert_eq!(taking.status(&with(json!({}))).await, 200);
    assert_eq!(taking.status(&with(json!({ "exp": now() - 10 }))).await, 200, "clocks differ a little");
    assert_eq!(taking.status(&with(json!({ "aud": ["others", AUDIENCE] }))).await, 200);

    for (what, token) in [
        ("expired", with(json!({ "exp": now() - 60 }))),
        ("no expiry", with(json!({ "exp": null }))),
        ("an expiry that is no number", with(json!({ "exp": "never" }))),
        ("not yet", with(json!({ "nbf": now() + 120 }))),
        ("another issuer", with(json!({ "iss": "https://evil.example" }))),
        ("no issuer", with(json!({ "iss": null }))),
        ("for another", with(json!({ "aud": "others" }))),
        ("for nobody", with(json!({ "aud": null }))),
        ("no subject", with(json!({ "sub": null }))),
        ("an empty subject", with(json!({ "sub": "" }))),
        ("a subject that stands for the owner", with(json!({ "sub": "local" }))),
        ("a subject that stands for the configuration", with(json!({ "sub": "configuration" }))),
        ("a subject that cannot be read", with(json!({ "sub": "ci\n\u{1b}[2J" }))),
        ("a subject without end", with(json!({ "sub": "x".repeat(257) }))),
        ("signed by another", jwt(&header, &claims(json!({})), |message| Issuer::new().rs256(message))),
        ("what must be understood", jwt(&json!({ "alg": "RS256", "crit": ["x"], "x": 1 }), &claims(json!({})), rs256)),
        (
            "another algorithm of the same key",
            jwt(&json!({ "alg": "RS512" }), &claims(json!({})), |message| issuer.rsa_with(&RSA_PKCS1_SHA512, message)),
        ),
        ("a header that lies", jwt(&json!({ "alg": "ES256" }), &claims(json!({})), rs256)),
    ] {
        assert_eq!(taking.status(&token).await, 401, "{what}");
    }
    let (expired, early) = (with(json!({ "exp": now() - 60 })), with(json!({ "nbf": now() + 120 })));
    assert!(taking.response(&expired).await.contains("error_description=\"the token has expired\""));
    assert!(taking.response(&early).await.contains("error_description=\"the token is not valid yet\""));
}

#[tokio::test]
async fn a_token_does_not_choose_how_it_is_checked() {
    let issuer = Issuer::new();
    let taking = Taking::file(&issuer.rsa_pem(), JwtKey::PublicKeyFile).await;
    let good = claims(json!({ "deltafold": "admin" }));
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let unsigned = jwt(&json!({ "alg": none }), &good, |_| Vec::new());
        assert_eq!(taking.status(&unsigned).await, 401, "{none}");
        assert_eq!(taking.status(unsigned.trim_end_matches('.')).await, 401, "{none}");
        let signed = jwt(&json!({ "alg": none }), &good, |message| issuer.rs256(message));
        assert_eq!(taking.status(&signed).await, 401, "{none}");
    }
    // The public key is known to everybody: taken for a secret, in any of its forms, it would let everybody in.
    let der = AsDer::<PublicKeyX509Der<'_>>::as_der(issuer.rsa.public_key()).unwrap();
    let pem = issuer.rsa_pem();
    for secret in [pem.as_bytes(), pem.trim_end().as_bytes(), der.as_ref(), issuer.rsa.public_key().as_ref()] {
        let token = jwt(&json!({ "alg": "HS256" }), &good, hs256(secret));
        assert_eq!(taking.status(&token).await, 401);
    }
    // A key that the token brings along.
    let other = Issuer::new();
    let brought = json!({ "alg": "RS256", "kid": "rsa-1", "jwk": other.jwks()["keys"][0] });
    assert_eq!(taking.status(&jwt(&brought, &good, |message| other.rs256(message))).await, 401);
    // One that was changed, and what is no token at all.
    let token = jwt(&json!({ "alg": "RS256" }), &claims(json!({})), |message| issuer.rs256(message));
    let parts: Vec<&str> = token.split('.').collect();
    let more = BASE64_URL_SAFE_NO_PAD.encode(good.to_string());
    for token in [format!("{}.{more}.{}", parts[0], parts[2]), format!("{token}."), "..".to_owned(), "a.b.c".to_owned()]
    {
        assert_eq!(taking.status(&token).await, 401, "{token}");
    }
}

#[tokio::test]
async fn keys_of_a_set_are_found_by_their_id() {
    let issuer = Issuer::new();
    let taking = Taking::file(&issuer.jwks().to_string(), JwtKey::JwksFile).await;
    let good = claims(json!({}));
    let (rs256, es256) = (|message: &[u8]| issuer.rs256(message), |message: &[u8]| issuer.es256(message));
    let of_rsa = |header: Value| jwt(&header, &good, rs256);
    assert_eq!(taking.status(&of_rsa(json!({ "alg": "RS256", "kid": "rsa-1" }))).await, 200);
    assert_eq!(taking.status(&jwt(&json!({ "alg": "ES256", "kid": "ec-1" }), &good, es256)).await, 200);
    for (what, header) in [
        ("an unknown id", json!({ "alg": "RS256", "kid": "rsa-2" })),
        ("no id", json!({ "alg": "RS256" })),
        ("the id of another key", json!({ "alg": "RS256", "kid": "ec-1" })),
        ("another algorithm than the key's", json!({ "alg": "ES256", "kid": "rsa-1" })),
    ] {
        assert_eq!(taking.status(&of_rsa(header)).await, 401, "{what}");
    }
    let n = issuer.jwks()["keys"][0]["n"].as_str().unwrap().to_owned();
    let confused = jwt(&json!({ "alg": "HS256", "kid": "rsa-1" }), &good, hs256(n.as_bytes()));
    assert_eq!(taking.status(&confused).await, 401);
}

#[tokio::test]
async fn rights_are_words_of_a_claim() {
    let header = json!({ "alg": "HS256" });
    let signed = |but: Value| jwt(&header, &claims(but), hs256(SECRET.as_bytes()));
    let taking = Taking::file(SECRET, JwtKey::SecretFile).await;
    for rights in [json!("read"), json!("openid read"), json!(["read", "write"]), json!("admin")] {
        assert_eq!(taking.status(&signed(json!({ "deltafold": rights }))).await, 200, "{rights}");
    }
    for rights in [json!(null), json!("append"), json!("reader"), json!({ "read": true }), json!([["read"]])] {
        let token = signed(json!({ "deltafold": rights, "scope": "read" }));
        assert_eq!(taking.status(&token).await, 403, "{rights}");
    }
    let of_scope = Taking::with(SECRET, JwtKey::SecretFile, |options| options.rights_claim = "scope".to_owned()).await;
    assert_eq!(of_scope.status(&signed(json!({ "deltafold": null, "scope": "openid read" }))).await, 200);
    assert_eq!(of_scope.status(&signed(json!({}))).await, 403);
}

#[tokio::test]
async fn mutations_need_their_rights_of_the_claim() {
    let taking = Taking::file(SECRET, JwtKey::SecretFile).await;
    let asked = async |rights: Value, mutation: &str| {
        let claims = claims(json!({ "deltafold": rights }));
        let token = jwt(&json!({ "alg": "HS256" }), &claims, hs256(SECRET.as_bytes()));
        let (body, bearer) = (json!({ "query": mutation }).to_string(), format!("Bearer {token}"));
        let response = taking.server.send("POST /graphql", &[JSON, ("authorization", &bearer)], &body).await;
        let body: Value = serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap();
        body["errors"][0]["extensions"]["code"].as_str().unwrap_or("none").to_owned()
    };
    let retry = "mutation { retryDeadLetters(all: true) { settled } }";
    let discard = "mutation { discardDeadLetters(all: true, reason: \"a test\") { settled } }";
    for rights in [json!("read"), json!(null), json!("openid profile"), json!(["Append", "append admin"])] {
        assert_eq!(asked(rights.clone(), retry).await, "FORBIDDEN", "{rights}");
        assert_eq!(asked(rights.clone(), discard).await, "FORBIDDEN", "{rights}");
    }
    assert_eq!(asked(json!("append"), discard).await, "FORBIDDEN");
    assert!(taking.server.shop.operator.asked.lock().unwrap().is_empty());
    assert_eq!(asked(json!("append"), retry).await, "none");
    assert_eq!(asked(json!(["admin"]), discard).await, "none");
    let did = taking.server.shop.operator.asked.lock().unwrap().clone();
    assert!(did[0].starts_with("ci retries ") && did[1].starts_with("ci discards "), "{did:?}");
}

#[tokio::test]
async fn a_token_that_is_meant_for_somebody_needs_an_audience_that_is_set() {
    let taking = Taking::with(SECRET, JwtKey::SecretFile, |options| {
        (options.issuer, options.audience) = (None, None);
    })
    .await;
    let signed = |but: Value| jwt(&json!({ "alg": "HS256" }), &claims(but), hs256(SECRET.as_bytes()));
    assert_eq!(taking.status(&signed(json!({ "aud": null }))).await, 200);
    assert_eq!(taking.status(&signed(json!({}))).await, 401);
    for aud in [json!(["others"]), json!([]), json!(7), json!({ "others": true }), json!([7])] {
        assert_eq!(taking.status(&signed(json!({ "aud": aud }))).await, 401, "{aud}");
    }
}
